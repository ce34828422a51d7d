"""Converts the coursework's VQGAN; its configuration is inferred from the keys and shapes.

    encoder.model   C       R A? S?  R A? S?  ...  R A R  N C     then quant_conv
    decoder.model   C R A R  R A? S?  R A? S?  ...         N C     after post_quant_conv

C convolution, R residual block, A attention, S down- or upsampling, N normalisation. Ours with
`design = "coursework"` has the same layers. Two things cannot be inferred from the keys: the statistics that
pixels were normalised with, which become a 1x1 convolution before the encoder and are folded into the
decoder's last convolution, and the side of the images, which follows from the transformer's positions.
"""

import re
from math import gcd
from typing import NamedTuple

import torch
from torch import Tensor

from maskmend.errors import ConfigError, ModelError
from maskmend.importers.coursework.state_dict import CourseworkState
from maskmend.importers.vqgans import tokenizer_of
from maskmend.models.quantizer import QuantizerConfig
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.vqgan import VQGAN
from maskmend.storage.lazy_tensor import LazyTensor

PIXELS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "coursework": ((0.4868, 0.4341, 0.3844), (0.2620, 0.2527, 0.2543)),
    "signed": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and deviation that pixels in [0, 1] were normalised with: the coursework's, or those for
[-1, 1]."""

# By kind of layer: the name of a module in the checkpoint (`gn` of wrapped norms is optional), and ours.
NAMES = {
    "R": (
        (r"block\.0(\.gn)?", "norm1"),
        (r"block\.2", "conv1"),
        (r"block\.3(\.gn)?", "norm2"),
        (r"block\.5", "conv2"),
        (r"channel_up", "skip"),
    ),
    "A": (
        (r"(norm|gn)(\.gn)?", "norm"),
        (r"q", "attention.query"),
        (r"k", "attention.key"),
        (r"v", "attention.value"),
        (r"proj_out", "attention.out"),
    ),
    "S": ((r"conv", "conv"),),
    "N": ((r"(gn)?", ""),),
    "C": ((r"", ""),),
}
ENDS = {"encoder.model": ("C", "RARNC"), "decoder.model": ("CRAR", "NC")}
LEGEND = "C convolution, R residual block, A attention, S change of resolution, N normalisation"


class Layer(NamedTuple):
    """One numbered layer of `encoder.model` or `decoder.model`."""

    number: int
    kind: str
    weights: dict[str, tuple[str, Tensor]]
    """By our name within the layer: its key in the checkpoint, and the tensor."""

    @property
    def widths(self) -> tuple[int, int]:
        """Channels in and out of a residual block or a convolution."""
        first, last = ("conv1.weight", "conv2.weight") if self.kind == "R" else ("weight", "weight")
        return self.weights[first][1].shape[1], self.weights[last][1].shape[0]


class Body(NamedTuple):
    """The stages between the two ends of an encoder or decoder."""

    channels: tuple[int, ...]
    """Width of each stage."""
    blocks: int
    """Residual blocks in a stage."""
    changes: tuple[int, ...]
    """Stages (from 1) that end with a change of resolution."""
    attended: tuple[bool, ...]
    """Of each residual block, whether attention follows it."""


def convert_vqgan(state: CourseworkState, grid: int, pixels: str) -> VQGAN:
    """Our tokenizer with the weights of `state`, for pictures of `grid` tokens a side.

    `pixels` is a name in `PIXELS`. Raises ModelError when a layer is missing or of a kind ours does not have.
    """
    encoder, decoder = read_layers(state, "encoder.model"), read_layers(state, "decoder.model")
    down, up = read_body(state, "encoder.model", encoder), read_body(state, "decoder.model", decoder)
    codebook = state.take("codebook.embedding.weight")
    if codebook.ndim != 2:
        raise ModelError(
            f"{state.path}: the codebook has shape {tuple(codebook.shape)}, expected (codes, width)"
        )
    if decoder[-1].widths[1] != 3:
        raise ModelError(f"{state.path} decodes to {decoder[-1].widths[1]} channels, expected 3")
    try:
        config = TokenizerConfig(
            resolution=grid * 2 ** len(down.changes),
            encoder_channels=(encoder[0].widths[1], *down.channels),
            encoder_blocks=down.blocks,
            downsample_after=down.changes,
            encoder_attention=_attends_in_stages(state, "encoder.model", down),
            decoder_channels=up.channels,
            decoder_blocks=up.blocks,
            upsample_after=up.changes,
            design="coursework",
            decoder_activation=decoder[-1].number - decoder[-2].number == 2,
            quantizer=QuantizerConfig(codes=len(codebook), code_dim=codebook.shape[1], update="gradient"),
        )
    except ConfigError as error:
        raise ModelError(f"{state.path} does not fit ours: {error}") from None
    _attends_in_stages(state, "decoder.model", up)
    weights = {"quantizer.codebook": ("codebook.embedding.weight", codebook)}
    # An activation has no keys; the encoder's lies before its last convolution.
    places = [*range(1, len(encoder)), len(encoder) + 1]
    for place, layer in zip(places, encoder, strict=True):
        weights |= _under(f"encoder.layers.{place}", layer)
    weights |= _under(f"encoder.layers.{len(encoder) + 2}", read_layer(state, "quant_conv", 0))
    weights |= _under("decoder.conv_in.0", read_layer(state, "post_quant_conv", 0))
    for place, layer in zip(_decoder_names(decoder, up.blocks), decoder, strict=True):
        weights |= _under(f"decoder.{place}", layer)
    _scale_pixels(weights, *PIXELS[pixels])
    with torch.device("meta"):
        wanted = VQGAN(config).state_dict()
    return tokenizer_of(config, state.fitted(wanted, weights))


def read_layers(state: CourseworkState, name: str) -> list[Layer]:
    """The numbered layers under `name`, in order. Raises ModelError for one that our model does not have."""
    matches = [re.match(rf"{re.escape(name)}\.(\d+)\.", key) for key in state.tensors]
    indices = sorted({int(match[1]) for match in matches if match})
    if len(indices) < 3:
        raise ModelError(f"{state.path} has {len(indices)} layers under {state.prefix}{name}: is it a VQGAN?")
    # The last but one may be an activation.
    expected = [*range(len(indices) - 1), indices[-1]]
    if indices != expected or indices[-1] - indices[-2] > 2:
        skipped = next(i for i in range(indices[-1]) if i not in indices)
        raise ModelError(
            f"{state.path}: {state.prefix}{name}.{skipped} has no weights, and ours has no such layer there"
        )
    return [read_layer(state, f"{name}.{index}", index) for index in indices]


def read_layer(state: CourseworkState, name: str, index: int) -> Layer:
    """The layer whose keys begin with `name`; unknown keys are ignored."""
    keys = {key.removeprefix(f"{name}."): key for key in state.tensors if key.startswith(f"{name}.")}
    kind = _kind({part: state.tensors[key] for part, key in keys.items()})
    if kind is None:
        shown = ", ".join(keys) or "no keys"
        raise ModelError(f"{state.path}: {state.prefix}{name} is none of the layers ours has ({shown})")
    weights: dict[str, tuple[str, Tensor]] = {}
    for part, key in keys.items():
        module, _, leaf = part.rpartition(".")
        ours = next((ours for pattern, ours in NAMES[kind] if re.fullmatch(pattern, module)), None)
        if ours is None or leaf not in ("weight", "bias"):
            continue
        value = state.take(key)
        if kind == "A" and value.ndim == 4:
            value = value.flatten(1)  # a 1x1 convolution is a linear layer
        weights[f"{ours}.{leaf}".removeprefix(".")] = (key, value)
    for needed in ("conv1.weight", "conv2.weight") if kind == "R" else ():
        if weights.get(needed, ("", torch.zeros(())))[1].ndim != 4:
            raise ModelError(f"{state.path}: {state.prefix}{name} lacks one of its convolutions")
    return Layer(index, kind, weights)


def _kind(tensors: dict[str, LazyTensor]) -> str | None:
    if any(part.startswith("block.") for part in tensors):
        return "R"
    if "q.weight" in tensors:
        return "A"
    if "conv.weight" in tensors:
        return "S"
    norm = tensors.get("gn.weight", tensors.get("weight"))
    return None if norm is None else {4: "C", 1: "N"}.get(len(norm.shape))


def read_body(state: CourseworkState, name: str, items: list[Layer]) -> Body:
    """The stages of `items`. Raises ModelError for an order of layers that our model does not have."""
    head, tail = ENDS[name]
    kinds = "".join(layer.kind for layer in items)
    if not re.fullmatch(f"{head}(RA?S?)+{tail}", kinds):
        raise ModelError(
            f"{state.path}: {state.prefix}{name} is laid out {kinds}, expected {head}, R with A or S after "
            f"it, and {tail} ({LEGEND})"
        )
    widths: list[int] = []
    attended: list[bool] = []
    changes: list[int] = []
    ends: set[int] = set()
    for layer in items[len(head) : len(items) - len(tail)]:
        if layer.kind == "R":
            in_channels, out_channels = layer.widths
            if in_channels != out_channels:
                ends.add(len(widths))
            widths.append(out_channels)
            attended.append(False)
        elif layer.kind == "A":
            attended[-1] = True
        else:
            changes.append(len(widths))
    # The largest stage of equal blocks: widths and resolution change between stages only.
    blocks = gcd(len(widths), *ends, *changes)
    stages = tuple(change // blocks for change in changes)
    return Body(tuple(widths[blocks - 1 :: blocks]), blocks, stages, tuple(attended))


def _attends_in_stages(state: CourseworkState, name: str, body: Body) -> bool:
    """Whether attention follows the residual blocks at the latent resolution. Raises ModelError elsewhere."""
    count = len(body.attended)
    if name.startswith("encoder"):
        first, last = max(body.changes, default=0) * body.blocks, count
    else:
        first, last = 0, min(body.changes, default=count) * body.blocks
    latent = tuple(first <= block < last for block in range(count))
    if body.attended == latent:
        return True
    if name.startswith("encoder") and not any(body.attended):
        return False
    odd = next(block for block in range(count) if body.attended[block] != latent[block])
    which = "follows" if body.attended[odd] else "is missing after"
    raise ModelError(
        f"{state.path}: in {state.prefix}{name} attention {which} residual block {odd + 1} of the "
        "stages; ours has it after every block at the latent resolution and nowhere else"
    )


def _decoder_names(items: list[Layer], blocks: int) -> list[str]:
    """Our name of each decoder layer."""
    places = ["conv_in.1", "middle.0", "middle.1", "middle.2"]
    stage, place, count = 0, 0, 0
    for layer in items[4:-2]:
        if layer.kind == "R":
            if count and count % blocks == 0:
                stage, place = stage + 1, 0
            count += 1
        places.append(f"stages.{stage}.{place}")
        place += 1
    return [*places, "norm", "conv_out"]


def _under(place: str, layer: Layer) -> dict[str, tuple[str, Tensor]]:
    return {f"{place}.{name}": weight for name, weight in layer.weights.items()}


def _scale_pixels(
    weights: dict[str, tuple[str, Tensor]], mean: tuple[float, ...], deviation: tuple[float, ...]
) -> None:
    """Folds the normalisation of pixels p in [0, 1] into weights: ours is y = 2 p - 1, theirs
    x = (p - mean) / deviation."""
    centre, spread = torch.tensor(mean), torch.tensor(deviation)
    weights["encoder.layers.0.weight"] = ("pixels", torch.diag(0.5 / spread)[:, :, None, None])
    weights["encoder.layers.0.bias"] = ("pixels", (0.5 - centre) / spread)
    key, weight = weights["decoder.conv_out.weight"]
    weights["decoder.conv_out.weight"] = (key, weight * (2 * spread)[:, None, None, None])
    key, bias = weights.get("decoder.conv_out.bias", (key, torch.zeros(3)))
    weights["decoder.conv_out.bias"] = (key, bias * 2 * spread + 2 * centre - 1)
