"""Tokenizers of other projects as ours: all are laid out as in Taming Transformers, and differ in trifles.

    encoder.conv_in, down.i.{block.j, attn.j, downsample}, mid.*, norm_out, conv_out ─► quant_conv ─► codes
    codes ─► post_quant_conv ─► decoder.conv_in, mid.*, up.i.{block.j, attn.j, upsample}, norm_out, conv_out

The names are taming's; an importer of another layout gives its own for each. What ours does not have is
folded into what it has, exactly: pixels in [0, 1] into the convolutions at both ends; a shortcut taken from a
block's own output, (I + W) h, into the block's second convolution; a projection to narrower codes into the
convolution before it, and the one back into the convolution after it. There the projection's bias must stop
at the picture's border, as padding adds zeros behind it: a constant channel of all codes carries it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from maskmend.errors import ConfigError, ModelError
from maskmend.importers.source import Source
from maskmend.models.quantizer import QuantizerConfig
from maskmend.models.vqgan import VQGAN, TokenizerConfig

CONSTANT = 1.0
"""Value of the channel that carries a bias; all codes have it, so that it decides nothing."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a tokenizer of the taming family has and has not."""

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
class Place:
    """A layer: its name in taming's layout and in ours."""

    theirs: str
    ours: str
    kind: str
    """conv, norm, block or attention."""
    inner: int
    outer: int
    kernel: int = 3
    bias: bool = True


def places(layout: Layout) -> list[Place]:
    """All layers, but for the codes and the projections."""
    return _encoder(layout) + _decoder(layout)


def _middle(side: str, ours: Callable[[int], str], width: int, attention: bool) -> list[Place]:
    names = [("block_1", "block"), ("attn_1", "attention"), ("block_2", "block")]
    if not attention:
        del names[1]
    return [
        Place(theirs=f"{side}.mid.{name}", ours=ours(n), kind=kind, inner=width, outer=width)
        for n, (name, kind) in enumerate(names)
    ]


def _encoder(layout: Layout) -> list[Place]:
    width = layout.channels
    found = [
        Place(
            theirs="encoder.conv_in", ours="encoder.layers.1", kind="conv", inner=3, outer=width,
            bias=layout.bias,
        )
    ]  # fmt: skip
    number = 2
    for stage, outer in enumerate(layout.widths):
        latent = stage == len(layout.widths) - 1
        for block in range(layout.blocks):
            name, ours = f"encoder.down.{stage}.block.{block}", f"encoder.layers.{number}"
            found.append(Place(theirs=name, ours=ours, kind="block", inner=width, outer=outer))
            number, width = number + 1, outer
            if latent and layout.attention:
                name, ours = f"encoder.down.{stage}.attn.{block}", f"encoder.layers.{number}"
                found.append(Place(theirs=name, ours=ours, kind="attention", inner=width, outer=width))
                number += 1
        if not latent:
            name, ours = f"encoder.down.{stage}.downsample.conv", f"encoder.layers.{number}.conv"
            if not layout.averages:
                found.append(Place(theirs=name, ours=ours, kind="conv", inner=width, outer=width))
            number += 1
    found += _middle("encoder", lambda n: f"encoder.layers.{number + n}", width, layout.attention)
    number += 3 if layout.attention else 2
    norm, out = f"encoder.layers.{number}", f"encoder.layers.{number + 2}"
    return [
        *found,
        Place(theirs="encoder.norm_out", ours=norm, kind="norm", inner=width, outer=width),
        Place(
            theirs="encoder.conv_out", ours=out, kind="conv", inner=width, outer=layout.latents,
            kernel=layout.conv_out,
        ),
    ]  # fmt: skip


def _decoder(layout: Layout) -> list[Place]:
    width = layout.widths[-1]
    found = [
        Place(
            theirs="decoder.conv_in", ours="decoder.conv_in.1", kind="conv", inner=layout.latents, outer=width
        )
    ]
    found += _middle("decoder", lambda n: f"decoder.middle.{n}", width, layout.attention)
    for stage, outer in enumerate(layout.widths[::-1]):
        level, place = len(layout.widths) - 1 - stage, 0
        for block in range(layout.decoder_blocks):
            name, ours = f"decoder.up.{level}.block.{block}", f"decoder.stages.{stage}.{place}"
            found.append(Place(theirs=name, ours=ours, kind="block", inner=width, outer=outer))
            place, width = place + 1, outer
            if stage == 0 and layout.attention:
                name, ours = f"decoder.up.{level}.attn.{block}", f"decoder.stages.{stage}.{place}"
                found.append(Place(theirs=name, ours=ours, kind="attention", inner=width, outer=width))
                place += 1
        if level:
            name, ours = f"decoder.up.{level}.upsample.conv", f"decoder.stages.{stage}.{place}.conv"
            found.append(Place(theirs=name, ours=ours, kind="conv", inner=width, outer=width))
    return [
        *found,
        Place(theirs="decoder.norm_out", ours="decoder.norm", kind="norm", inner=width, outer=width),
        Place(theirs="decoder.conv_out", ours="decoder.conv_out", kind="conv", inner=width, outer=3),
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


def convert_vqgan(source: Source, layout: Layout, resolution: int, what: str) -> VQGAN:
    """Our tokenizer with the weights of `source`, whose names are taming's.

    Raises ModelError where it has not exactly what the layout has; `what` is said of the file.
    """
    source.check(expected_shapes(layout), what)
    weights: dict[str, Tensor] = {}
    for place in places(layout):
        weights |= _PARTS[place.kind](source, place, layout)
    codebook = source.take("quantize.embedding.weight")
    if layout.unit_codes:
        codebook = F.normalize(codebook, dim=-1)
    weights["quantizer.codebook"] = codebook
    _project(source, layout, weights)
    _scale_pixels(weights, layout.unit_pixels)
    try:
        config = layout.config(resolution)
    except ConfigError as error:
        raise ModelError(f"{source.path}: {error}") from None
    return tokenizer_of(config, weights)


def tokenizer_of(config: TokenizerConfig, weights: Mapping[str, Tensor]) -> VQGAN:
    """The tokenizer that has `weights` themselves, not copies of them: they are held once."""
    with torch.device("meta"):
        tokenizer = VQGAN(config)
    tokenizer.load_state_dict({name: value.contiguous() for name, value in weights.items()}, assign=True)
    book = tokenizer.quantizer.codebook.detach()
    # The averages of training are in no file.
    tokenizer.quantizer.cluster_size, tokenizer.quantizer.embed_avg = torch.ones(len(book)), book.clone()
    return tokenizer.eval().requires_grad_(False)


def _take_conv(source: Source, name: str) -> tuple[Tensor, Tensor]:
    weight = source.take(f"{name}.weight")
    bias = f"{name}.bias"
    return weight, source.take(bias) if bias in source else torch.zeros(len(weight))


def _convolution(source: Source, place: Place, layout: Layout) -> dict[str, Tensor]:
    weight, bias = _take_conv(source, place.theirs)
    if place.kernel == 1:  # ours is 3 x 3: all around the middle is zero
        weight = F.pad(weight, (1, 1, 1, 1))
    return {f"{place.ours}.weight": weight, f"{place.ours}.bias": bias}


def _norm(source: Source, place: Place, layout: Layout) -> dict[str, Tensor]:
    return {f"{place.ours}.{part}": source.take(f"{place.theirs}.{part}") for part in ("weight", "bias")}


def _attention(source: Source, place: Place, layout: Layout) -> dict[str, Tensor]:
    found = {f"{place.ours}.norm.{p}": source.take(f"{place.theirs}.norm.{p}") for p in ("weight", "bias")}
    for theirs, ours in (("q", "query"), ("k", "key"), ("v", "value"), ("proj_out", "out")):
        weight, bias = _take_conv(source, f"{place.theirs}.{theirs}")
        found[f"{place.ours}.attention.{ours}.weight"] = weight.flatten(1)  # 1 x 1 is a linear layer
        found[f"{place.ours}.attention.{ours}.bias"] = bias
    return found


def _block(source: Source, place: Place, layout: Layout) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for norm in ("norm1", "norm2"):
        for part in ("weight", "bias"):
            found[f"{place.ours}.{norm}.{part}"] = source.take(f"{place.theirs}.{norm}.{part}")
    for conv in ("conv1", "conv2"):
        weight, bias = _take_conv(source, f"{place.theirs}.{conv}")
        found |= {f"{place.ours}.{conv}.weight": weight, f"{place.ours}.{conv}.bias": bias}
    if place.inner == place.outer:
        return found
    weight, bias = _take_conv(source, f"{place.theirs}.nin_shortcut")
    if layout.shortcut == "output":
        both = weight[:, :, 0, 0] + torch.eye(place.outer)
        conv = f"{place.ours}.conv2"
        found[f"{conv}.weight"] = torch.einsum("om,mihw->oihw", both, found[f"{conv}.weight"])
        found[f"{conv}.bias"] = both @ found[f"{conv}.bias"] + bias
        weight, bias = torch.zeros(place.outer, place.inner, 1, 1), torch.zeros(place.outer)
    return found | {f"{place.ours}.skip.weight": weight, f"{place.ours}.skip.bias": bias}


_PARTS: Mapping[str, Callable[[Source, Place, Layout], dict[str, Tensor]]] = {
    "conv": _convolution,
    "norm": _norm,
    "attention": _attention,
    "block": _block,
}


def _project(source: Source, layout: Layout, weights: dict[str, Tensor]) -> None:
    """The 1 x 1 convolutions on both sides of the codes."""
    out = next(place.ours for place in places(layout) if place.theirs == "encoder.conv_out")
    stem, _, number = out.rpartition(".")
    ends = (f"{stem}.{int(number) + 1}", "decoder.conv_in.0")
    width = layout.code_dim + layout.folds
    for end in ends:
        weights[f"{end}.weight"], weights[f"{end}.bias"] = (
            torch.eye(width)[:, :, None, None],
            torch.zeros(width),
        )
    if not layout.projections:
        return
    into, back = _take_conv(source, "quant_conv"), _take_conv(source, "post_quant_conv")
    if not layout.folds:
        for end, (weight, bias) in zip(ends, (into, back), strict=True):
            weights[f"{end}.weight"], weights[f"{end}.bias"] = weight, bias
        return
    weight, bias = weights[f"{out}.weight"], weights[f"{out}.bias"]
    narrow = into[0][:, :, 0, 0]
    # The last channel is constant: no weights, a bias.
    weights[f"{out}.weight"] = F.pad(torch.einsum("om,mihw->oihw", narrow, weight), (0, 0) * 3 + (0, 1))
    weights[f"{out}.bias"] = F.pad(narrow @ bias + into[1], (0, 1), value=CONSTANT)
    weight = weights["decoder.conv_in.1.weight"]
    wide = torch.cat([back[0][:, :, 0, 0], back[1][:, None] / CONSTANT], 1)
    weights["decoder.conv_in.1.weight"] = torch.einsum("omhw,mi->oihw", weight, wide)
    weights["quantizer.codebook"] = F.pad(weights["quantizer.codebook"], (0, 1), value=CONSTANT)


def _scale_pixels(weights: dict[str, Tensor], unit: bool) -> None:
    """Ours are y = 2 p - 1 of p in [0, 1]."""
    scale, shift = (0.5, 0.5) if unit else (1.0, 0.0)
    weights["encoder.layers.0.weight"] = (scale * torch.eye(3))[:, :, None, None]
    weights["encoder.layers.0.bias"] = torch.full((3,), shift)
    if unit:
        weights["decoder.conv_out.weight"] = 2 * weights["decoder.conv_out.weight"]
        weights["decoder.conv_out.bias"] = 2 * weights["decoder.conv_out.bias"] - 1
