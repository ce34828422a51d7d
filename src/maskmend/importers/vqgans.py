"""Tokenizers of other projects as ours: all are laid out as in Taming Transformers (`vqgan_layout`), and
differ in details.

What ours does not have is folded into what it has, exactly: pixels in [0, 1] into the convolutions at both
ends; a shortcut taken from a block's own output, (I + W) h, into the block's second convolution; a projection
to narrower codes into the convolution before it, and the one back into the convolution after it. There the
projection's bias must stop at the picture's border, as padding adds zeros behind it: a constant channel of
all codes carries it.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from maskmend.errors import ConfigError, ModelError
from maskmend.importers.source import Source
from maskmend.importers.vqgan_layout import (  # noqa: F401 - moved
    GOOGLE_VQGAN,
    LayerNames,
    Layout,
    expected_shapes,
    places,
    read_layout,
)
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.vqgan import VQGAN

CONSTANT = 1.0
"""Value of the channel that carries a bias; all codes have it, so that it decides nothing."""


def convert_vqgan(source: Source, layout: Layout, resolution: int, what: str) -> VQGAN:
    """Our tokenizer with the weights of `source`, whose names are taming's.

    Raises ModelError unless it has exactly what the layout has; `what` describes the file in messages.
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
    tokenizer.quantizer.reset_averages()
    return tokenizer.eval().requires_grad_(False)


def _take_conv(source: Source, name: str) -> tuple[Tensor, Tensor]:
    weight = source.take(f"{name}.weight")
    bias = f"{name}.bias"
    return weight, source.take(bias) if bias in source else torch.zeros(len(weight))


def _convolution(source: Source, place: LayerNames, layout: Layout) -> dict[str, Tensor]:
    weight, bias = _take_conv(source, place.theirs)
    if place.kernel == 1:  # ours is 3 x 3: all around the middle is zero
        weight = F.pad(weight, (1, 1, 1, 1))
    return {f"{place.ours}.weight": weight, f"{place.ours}.bias": bias}


def _norm(source: Source, place: LayerNames, layout: Layout) -> dict[str, Tensor]:
    return {f"{place.ours}.{part}": source.take(f"{place.theirs}.{part}") for part in ("weight", "bias")}


def _attention(source: Source, place: LayerNames, layout: Layout) -> dict[str, Tensor]:
    found = {f"{place.ours}.norm.{p}": source.take(f"{place.theirs}.norm.{p}") for p in ("weight", "bias")}
    for theirs, ours in (("q", "query"), ("k", "key"), ("v", "value"), ("proj_out", "out")):
        weight, bias = _take_conv(source, f"{place.theirs}.{theirs}")
        found[f"{place.ours}.attention.{ours}.weight"] = weight.flatten(1)  # 1 x 1 is a linear layer
        found[f"{place.ours}.attention.{ours}.bias"] = bias
    return found


def _block(source: Source, place: LayerNames, layout: Layout) -> dict[str, Tensor]:
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


_PARTS: Mapping[str, Callable[[Source, LayerNames, Layout], dict[str, Tensor]]] = {
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
