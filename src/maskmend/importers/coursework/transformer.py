"""Converts the coursework's transformer: post-norm blocks, normalised embeddings, a tied head.

    x = LN(tok_emb + pos_emb)        x = LN1(x + attention(x))        x = LN2(x + mlp(x))
    logits = Token_Prediction(x) tok_emb^T + bias

Implementations of the attention differ, so its parts are recognised by shape and by the usual names: a fused
projection (3 dim, dim), one for each of query, key and value, or one for each head. What cannot be inferred
is assumed to be as in the text: fused rows are [q; k; v], each split into heads in order, softmax is over the
keys, and LayerNorm's eps is 1e-12. The mask token's own logit is dropped: it is never sampled.
"""

import re
from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor

from maskmend.errors import ConfigError, ModelError
from maskmend.importers.coursework.state_dict import CourseworkState
from maskmend.models.transformer import MaskedTransformer, TransformerConfig

HEADS = 16
EPS = 1e-12
PARTS = {"LayerNorm1": "norm1", "LayerNorm2": "norm2", "MLP.0": "mlp.0", "MLP.2": "mlp.2"}
BLOCK = re.compile(r"(?:blocks|EncoderLayers)\.(\d+)\.(.+)")
LEAF = re.compile(r"(?:(.*?)[._])?(weight|bias)")
AROUND = "w|s|to|fc|in|lin|linear|proj|projection|layer|dense|net|map|mat|matrix|transform|weight"
ROLE = re.compile(rf"(?:{AROUND})*(q|query|queries|k|key|keys|v|value|values)(?:{AROUND})*")

Weights = dict[str, tuple[str, Tensor]]


class Linear(NamedTuple):
    """A linear layer of an attention part."""

    name: str
    key: str
    """Of its weight."""
    weight: Tensor
    bias: Tensor | None

    @property
    def role(self) -> str | None:
        """ "query", "key" or "value", by the last part of its name that identifies it."""
        for word in reversed(self.name.lower().split(".")):
            match = ROLE.fullmatch(word.replace("_", ""))
            if match:
                return {"q": "query", "k": "key", "v": "value"}[match[1][0]]
        return None


def convert_transformer(state: CourseworkState, codes: int, heads: int | None = None) -> MaskedTransformer:
    """Our transformer with the weights of `state`, over `codes` codes and the mask token.

    `heads` is not in the file, unless each head has a projection of its own: 16 by default. Raises ModelError
    when a part is missing or of a kind ours does not have, ConfigError for an impossible number of heads.
    """
    words, dim = _embedding(state, codes)
    positions, side = _positions(state, words, codes)
    blocks = _blocks(state)
    weights: Weights = {
        "token_embedding.weight": ("tok_emb.weight", state.take("tok_emb.weight")[: codes + 1]),
        "position_embedding.weight": positions,
        "bias": _bias(state, words, side, codes),
    }
    for theirs, ours in (
        ("LN", "embedding_norm"),
        ("Token_Prediction.0", "head.0"),
        ("Token_Prediction.2", "head.2"),
    ):
        weights |= _module(state, theirs, ours)
    found: int | None = None
    for index, names in enumerate(blocks):
        for theirs, ours in PARTS.items():
            if theirs in names:
                weights |= _module(state, names[theirs], f"blocks.{index}.{ours}")
        layers = _linears(state, names, dim)
        attention, found = _attention(state, layers, dim)
        weights |= {f"blocks.{index}.attention.{name}": value for name, value in attention.items()}
    config = TransformerConfig(
        codes=codes,
        grid=side,
        dim=dim,
        heads=_heads(heads, found, dim),
        layers=len(blocks),
        mlp=len(weights.get("blocks.0.mlp.0.weight", ("", torch.zeros(1)))[1]),
        norm_eps=EPS,
        position_bias=weights["bias"][1].ndim == 2,
    )
    with torch.device("meta"):
        model = MaskedTransformer(config).eval()
    model.load_state_dict(state.fitted(model.state_dict(), weights), assign=True)
    return model.requires_grad_(False)


def _embedding(state: CourseworkState, codes: int) -> tuple[int, int]:
    """Rows and width of the token embedding."""
    shape = tuple(state.take("tok_emb.weight").shape)
    if len(shape) != 2 or shape[0] < codes + 1:
        raise ModelError(
            f"{state.path}: {state.prefix}tok_emb.weight has shape {shape}, expected {codes + 1} rows or "
            f"more, for the {codes} codes of the VQGAN and the mask token: are they of one model?"
        )
    return shape[0], shape[1]


def _positions(state: CourseworkState, words: int, codes: int) -> tuple[tuple[str, Tensor], int]:
    """The vectors of the picture's positions, and the side of its grid."""
    key = "pos_emb" if "pos_emb" in state.tensors else "pos_emb.weight"
    table = state.take(key)
    table = table.flatten(0, -2) if table.ndim > 1 else table[None]
    count = len(table)
    side = isqrt(count)
    if side**2 != count and isqrt(count - 1) ** 2 == count - 1 and words == codes + 1:
        # No token is left that could stand in front of the picture's, so the position is a spare one.
        side = isqrt(count - 1)
    elif side**2 != count:
        raise ModelError(
            f"{state.path}: {state.prefix}{key} has {count} positions, expected a square number: a token in "
            "front of the picture's, such as a start or class token, is not in our transformer"
        )
    return (key, table[: side**2]), side


def _bias(state: CourseworkState, words: int, side: int, codes: int) -> tuple[str, Tensor]:
    """The bias of the logits: one for all positions, or one a position."""
    if "bias" not in state.tensors:
        return "bias", torch.zeros(codes)
    bias = state.take("bias")
    rows = bias.reshape(-1, bias.shape[-1]) if bias.ndim else bias[None, None]
    if rows.shape[1] != words or (len(rows) != 1 and len(rows) < side**2):
        raise ModelError(
            f"{state.path}: {state.prefix}bias has shape {tuple(bias.shape)}, expected {words} values, or as "
            f"many for each of {side**2} positions"
        )
    return "bias", rows[0, :codes] if len(rows) == 1 else rows[: side**2, :codes]


def _blocks(state: CourseworkState) -> list[dict[str, str]]:
    """Of each block the keys by their name in it; for the parts of `PARTS`, the module's whole name."""
    blocks: dict[int, dict[str, str]] = {}
    for key in state.tensors:
        match = BLOCK.fullmatch(key)
        if match:
            names = blocks.setdefault(int(match[1]), {})
            part = match[2].rpartition(".")[0]
            names[part if part in PARTS else match[2]] = key.rpartition(".")[0] if part in PARTS else key
    if sorted(blocks) != list(range(len(blocks))) or not blocks:
        raise ModelError(f"{state.path} has blocks {sorted(blocks)}, expected 0, 1, 2, ...: is it whole?")
    return [blocks[index] for index in range(len(blocks))]


def _module(state: CourseworkState, theirs: str, ours: str) -> Weights:
    keys = {leaf: f"{theirs}.{leaf}" for leaf in ("weight", "bias")}
    return {f"{ours}.{leaf}": (key, state.take(key)) for leaf, key in keys.items() if key in state.tensors}


def _linears(state: CourseworkState, names: dict[str, str], dim: int) -> list[Linear]:
    """The keys of a block besides `PARTS`, which are taken to be its attention. Other keys are ignored."""
    modules: dict[str, dict[str, str]] = {}
    for name, key in names.items():
        match = LEAF.fullmatch(name)
        if match:
            modules.setdefault(match[1] or "", {})[match[2]] = key
    layers = []
    for name, keys in modules.items():
        tensor = state.tensors[keys["weight"]] if "weight" in keys else None
        if tensor is not None and len(tensor.shape) == 2 and tensor.shape[1] == dim:
            bias = state.take(keys["bias"]) if "bias" in keys else None
            layers.append(Linear(name, keys["weight"], state.take(keys["weight"]), bias))
    return layers


def _attention(state: CourseworkState, layers: list[Linear], dim: int) -> tuple[Weights, int | None]:
    """Query, key, value and out by shape and name, and the number of heads where the file has it."""
    rows = {layer.name: len(layer.weight) for layer in layers}
    square = [layer for layer in layers if rows[layer.name] == dim]
    several = {n: [layer for layer in layers if rows[layer.name] == n * dim] for n in (2, 3)}
    heads = [layer for layer in layers if rows[layer.name] < dim]
    roles: dict[str, list[Linear]] = {"query": [], "key": [], "value": []}
    for layer in heads or square:
        if layer.role is not None:
            roles[layer.role].append(layer)
    outs = square if several[3] or heads else [layer for layer in square if layer.role is None]
    weights: Weights = {}
    if len(outs) == 1 and len(several[3]) == 1 and len(layers) == 2:
        weights = _split(several[3][0], ("query", "key", "value"))
    elif len(outs) == 1 and len(several[2]) == 1 and len(layers) == 3 and len(roles["query"]) == 1:
        weights = _split(several[2][0], ("key", "value")) | _split(roles["query"][0], ("query",))
    elif (
        len(outs) == 1 and len(layers) == 4 and not heads and all(len(found) == 1 for found in roles.values())
    ):
        for role, (layer,) in roles.items():
            weights |= _split(layer, (role,))
    elif len(outs) == 1 and heads and len(layers) == 1 + 3 * len(roles["query"]):
        for role, found in roles.items():
            if sum(rows[layer.name] for layer in found) == dim:
                weights |= _split(_joined(found), (role,))
    if len({name.partition(".")[0] for name in weights}) != 3:
        shown = ", ".join(f"{layer.name} {tuple(layer.weight.shape)}" for layer in layers) or "nothing"
        raise ModelError(
            f"{state.path}: cannot identify query, key, value and output of the attention among {shown}: "
            "rename them q, k, v and out"
        )
    weights |= _split(outs[0], ("out",))
    return weights, len(roles["query"]) if heads else None


def _split(layer: Linear, roles: tuple[str, ...]) -> Weights:
    weights: Weights = {}
    biases = [None] * len(roles) if layer.bias is None else layer.bias.chunk(len(roles))
    for role, weight, bias in zip(roles, layer.weight.chunk(len(roles)), biases, strict=True):
        weights[f"{role}.weight"] = (layer.key, weight)
        if bias is not None:
            weights[f"{role}.bias"] = (layer.key, bias)
    return weights


def _joined(layers: list[Linear]) -> Linear:
    """One projection of the heads' own, in the order of the numbers in their names."""

    def number(layer: Linear) -> list[int]:
        return [int(digits) for digits in re.findall(r"\d+", layer.name)]

    ordered = sorted(layers, key=number)
    biases = [layer.bias for layer in ordered if layer.bias is not None]
    bias = torch.cat(biases) if len(biases) == len(ordered) else None
    return Linear(ordered[0].name, ordered[0].key, torch.cat([layer.weight for layer in ordered]), bias)


def _heads(asked: int | None, found: int | None, dim: int) -> int:
    if asked is not None and found is not None and asked != found:
        raise ConfigError(
            f"--heads {asked}, but the checkpoint has projections of {found} heads: leave it out"
        )
    heads = asked or found or HEADS
    if heads < 1 or dim % heads:
        raise ConfigError(
            f"--heads {heads} does not divide the width {dim} of the checkpoint: choose a divisor"
        )
    return heads
