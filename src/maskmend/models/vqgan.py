"""The VQGAN tokenizer: image to a grid of tokens and back (Esser et al. 2021, "Taming Transformers").

    image (B, 3, H, W) ─ encoder ─► z (B, C, h, w) ─ quantizer ─► tokens (B, h, w) ─ decoder ─► image
                                                     known pixels ─ encoder ────────────┘

Residual blocks GroupNorm-SiLU-conv twice, strided convolutions down, nearest-neighbour and convolution up,
attention at the latent resolution. What we do differently: `encoder_norm = "position"` normalises each
position over its channels alone and `encoder_attention = false` leaves attention to the decoder. A token
then depends on its neighbourhood only, so a hole at one end of the picture cannot change the tokens at the
other end, as it does through GroupNorm's statistics. With `known_channels` the decoder is conditioned on the
known pixels (known_encoder.py), so that colours and edges continue across the seam. `design = "coursework"`
lays the blocks out as in the published experiment, so that its checkpoints load
(docs/coursework-checkpoints.md).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from maskmend.errors import ConfigError
from maskmend.models.blocks import (
    AttentionBlock,
    Downsample,
    ResidualBlock,
    Upsample,
    groups,
    middle,
    normalisation,
)
from maskmend.models.known_encoder import KnownEncoder, KnownPixels, no_known_pixels
from maskmend.models.quantizer import Quantized, QuantizerConfig, VectorQuantizer


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    resolution: int = 64
    """Side of the square images it is trained on, in pixels; other sizes work if divisible by the factor."""
    encoder_channels: tuple[int, ...] = (128, 128, 128, 256, 256, 512)
    """Channels of the first convolution, then of each encoder stage."""
    encoder_blocks: int = 2
    """Residual blocks in an encoder stage."""
    downsample_after: tuple[int, ...] = (2, 4)
    """Encoder stages (from 1) followed by a downsampling by 2; two of them make factor 4."""
    encoder_norm: Literal["group", "position"] = "group"
    """GroupNorm over the picture, or normalisation of each position alone (keeps tokens local)."""
    encoder_attention: bool = True
    """Attention at the latent resolution in the encoder."""
    attention: bool = True
    """Attention anywhere: False for tokenizers of convolutions alone, such as that of Google's MaskGIT."""
    decoder_channels: tuple[int, ...] = (512, 256, 256, 128, 128)
    """Channels of each decoder stage, from the latent resolution to the full one."""
    decoder_blocks: int = 3
    """Residual blocks in a decoder stage."""
    upsample_after: tuple[int, ...] = (2, 4)
    """Decoder stages (from 1) followed by an upsampling by 2."""
    attention_heads: int = 1
    """Heads of the attention blocks."""
    design: Literal["plain", "coursework"] = "plain"
    """Layout of the blocks: ours, or the published experiment's, for its checkpoints
    (coursework-checkpoints.md) and those of other projects (checkpoints.md), which are all laid out as in
    Taming Transformers."""
    downsampling: Literal["convolution", "average"] = "convolution"
    """How the encoder halves the resolution: by a strided convolution, or by the mean of four pixels."""
    decoder_activation: bool = True
    """SiLU between the decoder's last normalisation and its last convolution."""
    known_channels: tuple[int, ...] = ()
    """Channels of the encoder of the known pixels that conditions the decoder, from the full resolution down
    to the latent one, one more than there are downsamplings; empty for none."""
    known_guesses: bool = False
    """That encoder has one more input, which marks guesses of the hole's content (an upsampled coarser fill,
    or a sketch)."""
    colour_blur: float = 0.0
    """Standard deviation, in pixels, by which the decoder's colours are blurred, not its brightness: JPEG
    photographs have colour at half the resolution, and sharp colour shows as specks."""
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)

    def __post_init__(self) -> None:
        if len(self.downsample_after) != len(self.upsample_after):
            raise ConfigError(
                f"downsample_after={self.downsample_after} and upsample_after={self.upsample_after}: "
                "give both the same number of stages"
            )
        for name, least in (("encoder_channels", 2), ("decoder_channels", 1)):
            if len(getattr(self, name)) < least:
                raise ConfigError(f"{name}={getattr(self, name)}: give at least {least}")
        stages = {
            "downsample_after": len(self.encoder_channels) - 1,
            "upsample_after": len(self.decoder_channels),
        }
        for name, last in stages.items():
            value = getattr(self, name)
            if any(not 1 <= stage <= last for stage in value) or len(set(value)) != len(value):
                raise ConfigError(f"{name}={value}: name each stage once, from 1 to {last}")
        if self.resolution < 1 or self.resolution % self.factor:
            raise ConfigError(f"resolution={self.resolution}: choose a multiple of the factor {self.factor}")
        if self.encoder_norm not in ("group", "position"):
            raise ConfigError(f"encoder_norm={self.encoder_norm!r}: choose 'group' or 'position'")
        if self.design not in ("plain", "coursework"):
            raise ConfigError(f"design={self.design!r}: choose 'plain' or 'coursework'")
        if self.design == "coursework" and self.encoder_norm != "group":
            raise ConfigError(f"design='coursework' with encoder_norm={self.encoder_norm!r}: choose 'group'")
        if self.encoder_attention and not self.attention:
            raise ConfigError("encoder_attention = true with attention = false: set both to false")
        if self.downsampling not in ("convolution", "average"):
            raise ConfigError(f"downsampling={self.downsampling!r}: choose 'convolution' or 'average'")
        if not 0 <= self.colour_blur <= 8:
            raise ConfigError(f"colour_blur={self.colour_blur}: choose a value from 0 to 8")
        for name in ("encoder_blocks", "decoder_blocks", "attention_heads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: choose at least 1")
        if self.known_channels and len(self.known_channels) != len(self.upsample_after) + 1:
            raise ConfigError(
                f"known_channels={self.known_channels}: give one for each of the "
                f"{len(self.upsample_after) + 1} resolutions, from the full one down, or none"
            )
        if self.known_guesses and not self.known_channels:
            raise ConfigError("known_guesses = true without known_channels: give known_channels too")
        self._check_widths()

    def _check_widths(self) -> None:
        for name in ("encoder_channels", "decoder_channels", "known_channels"):
            grouped = name != "encoder_channels" or self.encoder_norm == "group"
            for width in getattr(self, name):
                if self.design == "coursework" and (width < 1 or width % 32):
                    raise ConfigError(f"{name} has {width}: choose multiples of 32 for design='coursework'")
                if width < 1 or (grouped and (width < 4 or width % groups(width))):
                    raise ConfigError(
                        f"{name} has {width}: choose multiples of 32, or of 4 below 128, for the group norm"
                    )
        attended = {"decoder_channels": self.decoder_channels[:1]} if self.attention else {}
        if self.encoder_attention:
            attended["encoder_channels"] = self.encoder_channels[1 + max(self.downsample_after, default=0) :]
        if self.design == "coursework" and self.attention:
            attended["encoder_channels"] = self.encoder_channels[-1:] + attended.get("encoder_channels", ())
        for name, widths in attended.items():
            for width in widths:
                if width % self.attention_heads:
                    raise ConfigError(
                        f"attention_heads={self.attention_heads} does not divide {width} of {name}: "
                        "choose a divisor"
                    )

    @property
    def factor(self) -> int:
        """Pixels along the side of a token."""
        return 2 ** len(self.downsample_after)

    @property
    def grid(self) -> int:
        """Tokens along the side of an image of the training resolution."""
        return self.resolution // self.factor

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def coursework_config(**changes: Any) -> TokenizerConfig:
    """The published experiment's tokenizer: 64x64 to 16x16, 1,024 codes of dimension 256."""
    return replace(TokenizerConfig(), **changes)


def small_config(*, resolution: int = 64, factor: int = 4, **changes: Any) -> TokenizerConfig:
    """A tokenizer that trains on two cores; `factor` 4, 8 or 16 adds one stage for each downsampling by 2."""
    if factor not in (2, 4, 8, 16, 32):
        raise ConfigError(f"factor={factor}: choose 2, 4, 8, 16 or 32")
    downsamplings = factor.bit_length() - 1
    widths = tuple(min(32 * 2**i, 128) for i in range(downsamplings + 1))
    config = TokenizerConfig(
        resolution=resolution,
        encoder_channels=(widths[0], *widths),
        encoder_blocks=1,
        downsample_after=tuple(range(1, downsamplings + 1)),
        encoder_norm="position",
        encoder_attention=False,
        decoder_channels=widths[::-1],
        decoder_blocks=2,
        upsample_after=tuple(range(1, downsamplings + 1)),
        attention_heads=4,
        quantizer=QuantizerConfig(codes=1024, code_dim=32),
    )
    return replace(config, **changes)


class Encoder(nn.Module):
    """Image in [-1, 1] (B, 3, H, W) to latents (B, code_dim, H/f, W/f)."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        coursework = config.design == "coursework"
        norm = "32 groups" if coursework else config.encoder_norm
        width, code_dim, heads = config.encoder_channels[0], config.quantizer.code_dim, config.attention_heads
        layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)] if coursework else []  # to the scale of its pixels
        layers.append(nn.Conv2d(3, width, 3, padding=1))
        downsamplings_left = len(config.downsample_after)
        for stage, outer in enumerate(config.encoder_channels[1:], start=1):
            for block in range(1, config.encoder_blocks + 1):
                layers.append(ResidualBlock(width, outer, norm))
                width = outer
                attends = config.encoder_attention and downsamplings_left == 0
                if attends and (coursework or block == config.encoder_blocks):
                    layers.append(AttentionBlock(width, heads, norm))
            if stage in config.downsample_after:
                layers.append(_downsample(config, width))
                downsamplings_left -= 1
        if coursework:
            layers += middle(width, heads, norm, config.attention)
        layers += [normalisation(norm, width), nn.SiLU()]
        if coursework:
            layers += [nn.Conv2d(width, code_dim, 3, padding=1), nn.Conv2d(code_dim, code_dim, 1)]
        else:
            layers.append(nn.Conv2d(width, code_dim, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        return self.layers(images)


class Decoder(nn.Module):
    """Codes (B, code_dim, h, w) to an image (B, 3, h*f, w*f), meant for [-1, 1] but not clamped."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        coursework = config.design == "coursework"
        norm = "32 groups" if coursework else "group"
        width, code_dim, heads = config.decoder_channels[0], config.quantizer.code_dim, config.attention_heads
        conv_in = nn.Conv2d(code_dim, width, 3, padding=1)
        self.conv_in = nn.Sequential(nn.Conv2d(code_dim, code_dim, 1), conv_in) if coursework else conv_in
        self.middle = middle(width, heads, norm, config.attention)
        stages: list[nn.Module] = []
        widths, condition_channels = config.decoder_channels, [width]
        for stage, outer in enumerate(widths, start=1):
            blocks: list[nn.Module] = []
            for _ in range(config.decoder_blocks):
                blocks.append(ResidualBlock(width, outer, norm))
                width = outer
                if coursework and config.attention and stage <= min(config.upsample_after, default=stage):
                    blocks.append(AttentionBlock(width, heads, norm))
            if stage in config.upsample_after:
                # The convolution after the upsampling already narrows to the next stage, at half the cost.
                narrower = width if coursework else widths[min(stage, len(widths) - 1)]
                blocks.append(Upsample(width, narrower))
                width = narrower
                condition_channels.append(width)
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.norm = normalisation(norm, width)
        self.activation = nn.SiLU() if config.decoder_activation else nn.Identity()
        self.conv_out = nn.Conv2d(width, 3, 3, padding=1)
        self.upsamples = [number in config.upsample_after for number in range(1, len(widths) + 1)]
        channels = config.known_channels
        self.known_encoder = (
            KnownEncoder(channels, tuple(condition_channels[::-1]), config.known_guesses)
            if channels
            else None
        )
        self.colour_blur = ColourBlur(config.colour_blur) if config.colour_blur > 0 else nn.Identity()

    def forward(
        self, codes: Float[Tensor, "B C h w"], known: KnownPixels | None = None
    ) -> Float[Tensor, "B 3 H W"]:
        """`known` conditions a decoder with `known_channels`; without it, it decodes from the codes alone."""
        return self.decode(codes, self.encode_known(known) if known is not None else ())

    def encode_known(self, known: KnownPixels) -> Sequence[Tensor]:
        """The features of the known pixels that `decode` takes, the same for all fills of an image."""
        return () if self.known_encoder is None else self.known_encoder(known)

    def decode(
        self, codes: Float[Tensor, "B C h w"], known_features: Sequence[Tensor]
    ) -> Float[Tensor, "B 3 H W"]:
        """As `forward`, with the known pixels already encoded."""
        features = iter(known_features)
        x = self.conv_in(codes)
        x = self.middle(x + next(features, 0))
        for stage, upsamples in zip(self.stages, self.upsamples, strict=True):
            x = stage(x)
            if upsamples:
                x = x + next(features, 0)
        return self.colour_blur(self.conv_out(self.activation(self.norm(x))))


def _downsample(config: TokenizerConfig, width: int) -> nn.Module:
    if config.downsampling == "average":
        return nn.AvgPool2d(2)
    return (
        Downsample(width)
        if config.design == "coursework"
        else nn.Conv2d(width, width, 3, stride=2, padding=1)
    )


class ColourBlur(nn.Module):
    """A Gaussian blur of the differences from the brightness (ITU-R BT.601), which stays as it is."""

    brightness: Tensor
    kernel: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.reach = math.ceil(3 * sigma)
        places = torch.arange(-self.reach, self.reach + 1)
        kernel = torch.exp(-0.5 * (places / sigma).square())
        # Constants of the method, not weights: they are in no file.
        self.register_buffer("kernel", (kernel / kernel.sum()).expand(3, 1, 1, -1), persistent=False)
        self.register_buffer(
            "brightness", torch.tensor([0.299, 0.587, 0.114])[:, None, None], persistent=False
        )

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        grey = (images * self.brightness).sum(1, keepdim=True)
        colour = F.pad(images - grey, [self.reach] * 4, mode="replicate")
        kernel = self.kernel.to(images.dtype)
        colour = F.conv2d(F.conv2d(colour, kernel, groups=3), kernel.transpose(2, 3), groups=3)
        return grey + colour


class VQGAN(nn.Module):
    """Encoder, quantizer and decoder."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantizer = VectorQuantizer(config.quantizer)
        self.decoder = Decoder(config)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half again as fast on CPUs

    def forward(
        self,
        images: Float[Tensor, "B 3 H W"],
        generator: torch.Generator | None = None,
        quantize: bool = True,
        known: KnownPixels | None = None,
    ) -> tuple[Float[Tensor, "B 3 H W"], Quantized]:
        """Reconstruction and what the quantizer returned; without `quantize`, as a plain autoencoder.

        `known` is for a decoder with `known_channels`.
        """
        z = self.encoder(images)
        if quantize:
            quantized = self.quantizer(z, generator)
        else:
            none = torch.zeros(z.shape[0], *z.shape[2:], dtype=torch.long, device=z.device)
            quantized = Quantized(z, none, z.new_zeros((), requires_grad=True))
        return self.decoder(quantized.vectors, known), quantized

    def encode(self, images: Float[Tensor, "B 3 H W"]) -> Int[Tensor, "B h w"]:
        """Tokens of images in [-1, 1]."""
        return self._tokens_and_latents(images)[0]

    def encode_with_distances(
        self, images: Float[Tensor, "B 3 H W"]
    ) -> tuple[Int[Tensor, "B h w"], Float[Tensor, "B h w"]]:
        """Tokens of images in [-1, 1], and the squared distance of each latent vector from its code."""
        tokens, latents = self._tokens_and_latents(images)
        codes = F.embedding(tokens, self.quantizer.codebook).to(latents.dtype)
        return tokens, (latents - codes).square().sum(-1)

    def _tokens_and_latents(
        self, images: Float[Tensor, "B 3 H W"]
    ) -> tuple[Int[Tensor, "B h w"], Float[Tensor, "B h w C"]]:
        z = self.encoder(images.contiguous(memory_format=torch.channels_last))
        latents = z.permute(0, 2, 3, 1).float()
        return self.quantizer.nearest(latents.flatten(0, 2)).view(latents.shape[:3]), latents

    def decode(
        self, tokens: Int[Tensor, "B h w"], known: KnownPixels | Sequence[Tensor] | None = None
    ) -> Float[Tensor, "B 3 H W"]:
        """Images in [-1, 1] of tokens.

        `known` may also be the features that `decoder.encode_known` returns. Without it, a decoder with
        `known_channels` is conditioned on an image that is all hole; one without ignores it.
        """
        codes = self.quantizer.lookup(tokens)
        if known is None:
            side = self.config.factor
            known = no_known_pixels(
                len(tokens), tokens.shape[1] * side, tokens.shape[2] * side, tokens.device
            )
        features = self.decoder.encode_known(known) if isinstance(known, KnownPixels) else known
        return self.decoder.decode(codes, features).clamp(-1, 1)
