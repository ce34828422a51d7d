"""The VQGAN tokenizer: image to a grid of tokens and back (Esser et al. 2021, "Taming Transformers").

    image (B, 3, H, W) ─ encoder ─► z (B, C, h, w) ─ quantizer ─► tokens (B, h, w) ─ decoder ─► image
                                                     known pixels ─ encoder ────────────┘

Residual blocks GroupNorm-SiLU-conv twice, strided convolutions down, nearest-neighbour and convolution up,
attention at the latent resolution. What we do differently: `encoder_norm = "position"` normalises each
position over its channels alone and `encoder_attention = false` leaves attention to the decoder. A token
then depends on its neighbourhood only, so a hole at one end of the picture cannot change the tokens at the
other end, as it does through GroupNorm's statistics. With `known_channels` the decoder is conditioned on the
known pixels (known_encoder.py), so that colours and edges continue across the seam. `design = "coursework"`
builds the layers of `coursework_vqgan` instead, for checkpoints of the coursework.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from maskmend.models import coursework_vqgan
from maskmend.models.blocks import AttentionBlock, ResidualBlock, Upsample, middle, normalisation
from maskmend.models.colour_blur import ColourBlur
from maskmend.models.known_encoder import KnownEncoder, KnownPixels, no_known_pixels
from maskmend.models.quantizer import Quantized, VectorQuantizer
from maskmend.models.tokenizer_config import TokenizerConfig, coursework_config, small_config  # noqa: F401 - moved


def encoder_layers(config: TokenizerConfig) -> list[nn.Module]:
    """From the image to the latents."""
    norm, width = config.encoder_norm, config.encoder_channels[0]
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1)]
    latent_from = 1 + max(config.downsample_after, default=0)
    for stage, outer in enumerate(config.encoder_channels[1:], start=1):
        for _ in range(config.encoder_blocks):
            layers.append(ResidualBlock(width, outer, norm))
            width = outer
        if config.encoder_attention and stage >= latent_from:
            layers.append(AttentionBlock(width, config.attention_heads, norm))
        if stage in config.downsample_after:
            averages = config.downsampling == "average"
            layers.append(nn.AvgPool2d(2) if averages else nn.Conv2d(width, width, 3, stride=2, padding=1))
    return [*layers, normalisation(norm, width), nn.SiLU(), nn.Conv2d(width, config.quantizer.code_dim, 1)]


def decoder_layers(
    config: TokenizerConfig,
) -> tuple[nn.Module, nn.Sequential, nn.ModuleList, nn.Module]:
    """The decoder's conv_in, middle, stages and norm."""
    widths, width = config.decoder_channels, config.decoder_channels[0]
    conv_in = nn.Conv2d(config.quantizer.code_dim, width, 3, padding=1)
    center = middle(width, config.attention_heads, "group", config.attention)
    stages = nn.ModuleList()
    for stage, outer in enumerate(widths, start=1):
        blocks: list[nn.Module] = []
        for _ in range(config.decoder_blocks):
            blocks.append(ResidualBlock(width, outer, "group"))
            width = outer
        if stage in config.upsample_after:
            # The convolution after the upsampling already narrows to the next stage, at half the cost.
            narrower = widths[min(stage, len(widths) - 1)]
            blocks.append(Upsample(width, narrower))
            width = narrower
        stages.append(nn.Sequential(*blocks))
    return conv_in, center, stages, normalisation("group", width)


class Encoder(nn.Module):
    """Image in [-1, 1] (B, 3, H, W) to latents (B, code_dim, H/f, W/f)."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        layers = coursework_vqgan.encoder_layers if config.design == "coursework" else encoder_layers
        self.layers = nn.Sequential(*layers(config))

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        return self.layers(images)


class Decoder(nn.Module):
    """Codes (B, code_dim, h, w) to an image (B, 3, h*f, w*f), meant for [-1, 1] but not clamped."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        layers = coursework_vqgan.decoder_layers if config.design == "coursework" else decoder_layers
        self.conv_in, self.middle, self.stages, self.norm = layers(config)
        self.activation = nn.SiLU() if config.decoder_activation else nn.Identity()
        self.conv_out = nn.Conv2d(config.decoder_channels[-1], 3, 3, padding=1)
        self.upsamples = [number in config.upsample_after for number in range(1, len(self.stages) + 1)]
        self.known_encoder = (
            KnownEncoder(config.known_channels, config.condition_channels[::-1], config.known_guesses)
            if config.known_channels
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
