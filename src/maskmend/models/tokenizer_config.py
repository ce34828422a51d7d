"""The tokenizer's configuration, checked, and its presets.

`design`, `encoder_norm` and `known_channels` are explained in `vqgan`, which builds the network.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from maskmend.choices import choice_error
from maskmend.errors import ConfigError
from maskmend.models.blocks import groups
from maskmend.models.quantizer import QuantizerConfig


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    resolution: int = 64
    """Side of the square training images, in pixels; other sizes work if they are divisible by the factor."""
    encoder_channels: tuple[int, ...] = (128, 128, 128, 256, 256, 512)
    """Channels of the first convolution, then of each encoder stage."""
    encoder_blocks: int = 2
    """Residual blocks in an encoder stage."""
    downsample_after: tuple[int, ...] = (2, 4)
    """Encoder stages (from 1) followed by a downsampling by 2; two of them make factor 4."""
    encoder_norm: Literal["group", "position"] = "group"
    """GroupNorm over the picture, or normalisation of each position by itself (keeps tokens local)."""
    encoder_attention: bool = True
    """Attention at the latent resolution in the encoder."""
    attention: bool = True
    """Whether there is any attention; False for purely convolutional tokenizers, such as that of Google's
    MaskGIT."""
    decoder_channels: tuple[int, ...] = (512, 256, 256, 128, 128)
    """Channels of each decoder stage, from the latent resolution to the full one."""
    decoder_blocks: int = 3
    """Residual blocks in a decoder stage."""
    upsample_after: tuple[int, ...] = (2, 4)
    """Decoder stages (from 1) followed by an upsampling by 2."""
    attention_heads: int = 1
    """Heads of the attention blocks."""
    design: Literal["plain", "coursework"] = "plain"
    """Layout of the blocks: ours (plain), or that of the coursework, for its checkpoints
    (coursework-checkpoints.md) and those of other projects (checkpoints.md), which all follow Taming
    Transformers."""
    downsampling: Literal["convolution", "average"] = "convolution"
    """How the encoder halves the resolution: with a strided convolution, or by averaging four pixels."""
    decoder_activation: bool = True
    """SiLU between the decoder's last normalisation and its last convolution."""
    known_channels: tuple[int, ...] = ()
    """Channels of the encoder of the known pixels, which conditions the decoder, from the full resolution
    down to the latent one (one more than there are downsamplings); empty: no such encoder."""
    known_guesses: bool = False
    """Adds an input to that encoder that marks guesses of the hole's content (an upsampled coarser fill, or a
    sketch)."""
    colour_blur: float = 0.0
    """Standard deviation, in pixels, of a blur of the decoder's colours, but not of its brightness. JPEG
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
        for name, known in (
            ("encoder_norm", ("group", "position")),
            ("design", ("plain", "coursework")),
            ("downsampling", ("convolution", "average")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(choice_error(name, getattr(self, name), known))
        if self.design == "coursework" and self.encoder_norm != "group":
            raise ConfigError(f"design='coursework' with encoder_norm={self.encoder_norm!r}: choose 'group'")
        if self.encoder_attention and not self.attention:
            raise ConfigError("encoder_attention = true with attention = false: set both to false")
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

    @property
    def condition_channels(self) -> tuple[int, ...]:
        """Channels of the decoder where features of known pixels are added, from the latent resolution up: at
        its beginning and after each upsampling."""
        widths, narrows = self.decoder_channels, self.design == "plain"
        after = [min(stage - 1 + narrows, len(widths) - 1) for stage in sorted(self.upsample_after)]
        return (widths[0], *(widths[stage] for stage in after))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def coursework_config(**changes: Any) -> TokenizerConfig:
    """The coursework's tokenizer: 64x64 to 16x16, 1,024 codes of dimension 256."""
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
