"""Names and shapes of the tokenizers that are laid out as in Taming Transformers.

    encoder.conv_in, down.i.{block.j, attn.j, downsample}, mid.*, norm_out, conv_out ─► quant_conv ─► codes
    codes ─► post_quant_conv ─► decoder.conv_in, mid.*, up.i.{block.j, attn.j, upsample}, norm_out, conv_out

The names are taming's; an importer of another layout gives its own for each. `vqgans` takes the weights over.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from maskmend.errors import ModelError
from maskmend.importers.source import Source
from maskmend.models.quantizer import QuantizerConfig
from maskmend.models.tokenizer_config import TokenizerConfig


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The features of a tokenizer of the taming family."""

    channels: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    blocks: int = 2
    """Residual blocks in a stage of the encoder."""
    decoder_blocks: int = 3
    latents: int = 256
    """Channels of the encoder's output."""
    code_dim: int = 256
    codes: int = 1024
    attention: bool = True
    """Attention at the latent resolution."""
    projections: bool = True
    """quant_conv and post_quant_conv."""
    bias: bool = True
    """Convolutions but for those at the latents and at the very end have biases."""
    shortcut: str = "input"
    """A block that changes the width takes its shortcut from its "input", or from its own "output"."""
    averages: bool = False
    """The resolution is halved by averaging."""
    conv_out: int = 3
    """Kernel of the encoder's last convolution."""
    unit_codes: bool = False
    """Codes and latents are compared at length 1."""
    unit_pixels: bool = False
    """Pixels in [0, 1], not [-1, 1]."""

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.channels * multiplier for multiplier in self.multipliers)

    @property
    def factor(self) -> int:
        """Pixels along the side of a token."""
        return 2 ** (len(self.multipliers) - 1)

    @property
    def folds(self) -> bool:
        """Whether the projections change the width, so that they fold into the convolutions beside them."""
        return self.projections and self.latents != self.code_dim

    def config(self, resolution: int) -> TokenizerConfig:
        """Of our tokenizer that takes its weights."""
        halved = tuple(range(1, len(self.multipliers)))
        return TokenizerConfig(
            resolution=resolution,
            encoder_channels=(self.channels, *self.widths),
            encoder_blocks=self.blocks,
            downsample_after=halved,
            encoder_attention=self.attention,
            attention=self.attention,
            decoder_channels=self.widths[::-1],
            decoder_blocks=self.decoder_blocks,
            upsample_after=halved,
            design="coursework",
            downsampling="average" if self.averages else "convolution",
            quantizer=QuantizerConfig(codes=self.codes, code_dim=self.code_dim + self.folds),
        )


GOOGLE_VQGAN = Layout(
    decoder_blocks=2,
    attention=False,
    projections=False,
    bias=False,
    shortcut="output",
    averages=True,
    conv_out=1,
    unit_pixels=True,
)
"""Of Google's MaskGIT, whose tokenizer MAGE took over."""


@dataclass(frozen=True, kw_only=True)
class LayerNames:
    """A layer: its name in taming's layout and in ours."""

    theirs: str
    ours: str
    kind: str
    """conv, norm, block or attention."""
    inner: int
    outer: int
    kernel: int = 3
    bias: bool = True


def places(layout: Layout) -> list[LayerNames]:
    """All layers, but for the codes and the projections."""
    return _encoder(layout) + _decoder(layout)


def _middle(side: str, ours: Callable[[int], str], width: int, attention: bool) -> list[LayerNames]:
    names = [("block_1", "block"), ("attn_1", "attention"), ("block_2", "block")]
    if not attention:
        del names[1]
    return [
        LayerNames(theirs=f"{side}.mid.{name}", ours=ours(n), kind=kind, inner=width, outer=width)
        for n, (name, kind) in enumerate(names)
    ]


def _encoder(layout: Layout) -> list[LayerNames]:
    width = layout.channels
    found = [
        LayerNames(
            theirs="encoder.conv_in", ours="encoder.layers.1", kind="conv", inner=3, outer=width,
            bias=layout.bias,
        )
    ]  # fmt: skip
    number = 2
    for stage, outer in enumerate(layout.widths):
        latent = stage == len(layout.widths) - 1
        for block in range(layout.blocks):
            name, ours = f"encoder.down.{stage}.block.{block}", f"encoder.layers.{number}"
            found.append(LayerNames(theirs=name, ours=ours, kind="block", inner=width, outer=outer))
            number, width = number + 1, outer
            if latent and layout.attention:
                name, ours = f"encoder.down.{stage}.attn.{block}", f"encoder.layers.{number}"
                found.append(LayerNames(theirs=name, ours=ours, kind="attention", inner=width, outer=width))
                number += 1
        if not latent:
            name, ours = f"encoder.down.{stage}.downsample.conv", f"encoder.layers.{number}.conv"
            if not layout.averages:
                found.append(LayerNames(theirs=name, ours=ours, kind="conv", inner=width, outer=width))
            number += 1
    found += _middle("encoder", lambda n: f"encoder.layers.{number + n}", width, layout.attention)
    number += 3 if layout.attention else 2
    norm, out = f"encoder.layers.{number}", f"encoder.layers.{number + 2}"
    return [
        *found,
        LayerNames(theirs="encoder.norm_out", ours=norm, kind="norm", inner=width, outer=width),
        LayerNames(
            theirs="encoder.conv_out", ours=out, kind="conv", inner=width, outer=layout.latents,
            kernel=layout.conv_out,
        ),
    ]  # fmt: skip


def _decoder(layout: Layout) -> list[LayerNames]:
    width = layout.widths[-1]
    found = [
        LayerNames(
            theirs="decoder.conv_in", ours="decoder.conv_in.1", kind="conv", inner=layout.latents, outer=width
        )
    ]
    found += _middle("decoder", lambda n: f"decoder.middle.{n}", width, layout.attention)
    for stage, outer in enumerate(layout.widths[::-1]):
        level, place = len(layout.widths) - 1 - stage, 0
        for block in range(layout.decoder_blocks):
            name, ours = f"decoder.up.{level}.block.{block}", f"decoder.stages.{stage}.{place}"
            found.append(LayerNames(theirs=name, ours=ours, kind="block", inner=width, outer=outer))
            place, width = place + 1, outer
            if stage == 0 and layout.attention:
                name, ours = f"decoder.up.{level}.attn.{block}", f"decoder.stages.{stage}.{place}"
                found.append(LayerNames(theirs=name, ours=ours, kind="attention", inner=width, outer=width))
                place += 1
        if level:
            name, ours = f"decoder.up.{level}.upsample.conv", f"decoder.stages.{stage}.{place}.conv"
            found.append(LayerNames(theirs=name, ours=ours, kind="conv", inner=width, outer=width))
    return [
        *found,
        LayerNames(theirs="decoder.norm_out", ours="decoder.norm", kind="norm", inner=width, outer=width),
        LayerNames(theirs="decoder.conv_out", ours="decoder.conv_out", kind="conv", inner=width, outer=3),
    ]


def read_layout(source: Source, usual: Layout) -> Layout:
    """`usual` with the widths and numbers of blocks that the file has. Raises ModelError."""
    codes, code_dim = source.shape("quantize.embedding.weight")
    channels = source.shape("encoder.conv_in.weight")[0]
    stages = source.count(r"encoder\.down\.(\d+)\.")
    if min(channels, codes, code_dim, stages) < 1:
        first = source.shown("encoder.down.0")
        raise ModelError(f"{source.path} has no stage {first}: is it whole, and the right file?")
    widths = [source.shape(f"encoder.down.{stage}.block.0.conv1.weight")[0] for stage in range(stages)]
    return replace(
        usual,
        channels=channels,
        multipliers=tuple(width // channels for width in widths),
        blocks=source.count(r"encoder\.down\.0\.block\.(\d+)\."),
        decoder_blocks=source.count(r"decoder\.up\.0\.block\.(\d+)\."),
        latents=source.shape("encoder.conv_out.weight")[0],
        code_dim=code_dim,
        codes=codes,
    )


def expected_shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    """The tensors that such a tokenizer has, by taming's names."""
    found: dict[str, tuple[int, ...]] = {"quantize.embedding.weight": (layout.codes, layout.code_dim)}
    if layout.projections:
        found |= _conv("quant_conv", layout.latents, layout.code_dim, 1, True)
        found |= _conv("post_quant_conv", layout.code_dim, layout.latents, 1, True)
    for place in places(layout):
        name, inner, outer = place.theirs, place.inner, place.outer
        if place.kind == "conv":
            found |= _conv(name, inner, outer, place.kernel, place.bias)
        elif place.kind == "norm":
            found |= {f"{name}.weight": (inner,), f"{name}.bias": (inner,)}
        elif place.kind == "attention":
            found |= {f"{name}.norm.weight": (inner,), f"{name}.norm.bias": (inner,)}
            for part in ("q", "k", "v", "proj_out"):
                found |= _conv(f"{name}.{part}", inner, inner, 1, True)
        else:
            for part, width in (("norm1", inner), ("norm2", outer)):
                found |= {f"{name}.{part}.weight": (width,), f"{name}.{part}.bias": (width,)}
            found |= _conv(f"{name}.conv1", inner, outer, 3, layout.bias)
            found |= _conv(f"{name}.conv2", outer, outer, 3, layout.bias)
            if inner != outer:
                into = inner if layout.shortcut == "input" else outer
                found |= _conv(f"{name}.nin_shortcut", into, outer, 1, layout.bias)
    return found


def _conv(name: str, inner: int, outer: int, kernel: int, bias: bool) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {f"{name}.weight": (outer, inner, kernel, kernel)}
    return found | ({f"{name}.bias": (outer,)} if bias else {})
