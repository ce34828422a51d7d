"""Tokenizers of the taming family, restated over a bare state dict, and random ones in published layouts.

Written from the published modules' arithmetic and sharing nothing with the importers, so that both would have
to be wrong in the same way for a comparison to pass.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a published tokenizer has; the widths are a test's own."""

    widths: tuple[int, ...] = (32, 32, 32, 32, 32)
    blocks: int = 1
    decoder_blocks: int = 2
    latents: int = 16
    code_dim: int = 16
    codes: int = 64
    attention: bool = True
    projections: bool = True
    bias: bool = True
    own_shortcut: bool = False
    averages: bool = False
    conv_out: int = 3
    unit_codes: bool = False


def random_state(kind: Kind, seed: int = 0, *, among_latents: bool = True) -> State:
    """Weights with which activations stay of order 1, by taming's names.

    Codes lie among the latents, so that different places have different tokens; finding them takes an
    encoding of as many places, which `among_latents = False` spares.
    """
    generator = torch.Generator().manual_seed(seed)
    state: State = {}

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    def conv(name: str, inner: int, outer: int, kernel: int, bias: bool = True) -> None:
        state[f"{name}.weight"] = draw(outer, inner, kernel, kernel) / (inner * kernel**2) ** 0.5
        if bias:
            state[f"{name}.bias"] = 0.2 * draw(outer)

    def norm(name: str, width: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = 1 + 0.2 * draw(width), 0.2 * draw(width)

    def block(name: str, inner: int, outer: int) -> None:
        norm(f"{name}.norm1", inner)
        conv(f"{name}.conv1", inner, outer, 3, kind.bias)
        norm(f"{name}.norm2", outer)
        conv(f"{name}.conv2", outer, outer, 3, kind.bias)
        if inner != outer:
            conv(f"{name}.nin_shortcut", outer if kind.own_shortcut else inner, outer, 1, kind.bias)

    def attention(name: str, width: int) -> None:
        norm(f"{name}.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            conv(f"{name}.{part}", width, width, 1)

    last = len(kind.widths) - 1
    width = kind.widths[0]
    conv("encoder.conv_in", 3, width, 3, kind.bias)
    for level, outer in enumerate(kind.widths):
        for n in range(kind.blocks):
            block(f"encoder.down.{level}.block.{n}", width, outer)
            width = outer
            if level == last and kind.attention:
                attention(f"encoder.down.{level}.attn.{n}", width)
        if level != last and not kind.averages:
            conv(f"encoder.down.{level}.downsample.conv", width, width, 3)
    for side in ("encoder", "decoder"):
        block(f"{side}.mid.block_1", width, width)
        block(f"{side}.mid.block_2", width, width)
        if kind.attention:
            attention(f"{side}.mid.attn_1", width)
    norm("encoder.norm_out", width)
    conv("encoder.conv_out", width, kind.latents, kind.conv_out)
    if kind.projections:
        conv("quant_conv", kind.latents, kind.code_dim, 1)
        conv("post_quant_conv", kind.code_dim, kind.latents, 1)
    conv("decoder.conv_in", kind.latents, width, 3)
    for level in range(last, -1, -1):
        for n in range(kind.decoder_blocks):
            block(f"decoder.up.{level}.block.{n}", width, kind.widths[level])
            width = kind.widths[level]
            if level == last and kind.attention:
                attention(f"decoder.up.{level}.attn.{n}", width)
        if level:
            conv(f"decoder.up.{level}.upsample.conv", width, width, 3)
    norm("decoder.norm_out", width)
    conv("decoder.conv_out", width, 3, 3)
    state["decoder.conv_out.weight"] /= 8  # pictures that are not all black and white
    state["quantize.embedding.weight"] = draw(kind.codes, kind.code_dim)
    if not among_latents:
        return state
    side = 2 ** (last + 2)
    while len(found := latents(kind, state, torch.rand(1, 3, side, side, generator=generator))) < kind.codes:
        side *= 2
    order = torch.randperm(len(found), generator=generator)[: kind.codes]
    state["quantize.embedding.weight"] = found[order] + 0.01 * draw(kind.codes, kind.code_dim)
    return state


def _conv(state: State, name: str, x: Tensor, **how: int) -> Tensor:
    weight = state[f"{name}.weight"]
    how.setdefault("padding", weight.shape[-1] // 2)
    return F.conv2d(x, weight, state.get(f"{name}.bias"), **how)


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    return F.group_norm(x, 32, state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)


def _swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def _block(kind: Kind, state: State, name: str, x: Tensor) -> Tensor:
    h = _conv(state, f"{name}.conv1", _swish(_norm(state, f"{name}.norm1", x)))
    h = _conv(state, f"{name}.conv2", _swish(_norm(state, f"{name}.norm2", h)))
    if f"{name}.nin_shortcut.weight" in state:
        x = _conv(state, f"{name}.nin_shortcut", h if kind.own_shortcut else x)
    return x + h


def _attention(state: State, name: str, x: Tensor) -> Tensor:
    if f"{name}.q.weight" not in state:
        return x
    h = _norm(state, f"{name}.norm", x)
    q, k, v = (_conv(state, f"{name}.{part}", h).flatten(2) for part in "qkv")
    weights = torch.softmax(q.transpose(1, 2) @ k * q.shape[1] ** -0.5, dim=2)
    mixed = (v @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
    return x + _conv(state, f"{name}.proj_out", mixed)


def _middle(kind: Kind, state: State, side: str, x: Tensor) -> Tensor:
    x = _attention(state, f"{side}.mid.attn_1", _block(kind, state, f"{side}.mid.block_1", x))
    return _block(kind, state, f"{side}.mid.block_2", x)


def latents(kind: Kind, state: State, images: Tensor) -> Tensor:
    """(B h w, C) latents of images in the range that the tokenizer was trained with."""
    x = _conv(state, "encoder.conv_in", images)
    for level in range(len(kind.widths)):
        for n in range(kind.blocks):
            x = _block(kind, state, f"encoder.down.{level}.block.{n}", x)
            x = _attention(state, f"encoder.down.{level}.attn.{n}", x)
        if level != len(kind.widths) - 1:
            if kind.averages:
                x = F.avg_pool2d(x, 2)
            else:
                name = f"encoder.down.{level}.downsample.conv"
                x = _conv(state, name, F.pad(x, (0, 1, 0, 1)), stride=2, padding=0)
    x = _swish(_norm(state, "encoder.norm_out", _middle(kind, state, "encoder", x)))
    x = _conv(state, "encoder.conv_out", x)
    if kind.projections:
        x = _conv(state, "quant_conv", x)
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def codebook(kind: Kind, state: State) -> Tensor:
    codes = state["quantize.embedding.weight"]
    return F.normalize(codes, dim=-1) if kind.unit_codes else codes


def encode(kind: Kind, state: State, images: Tensor) -> Tensor:
    """(B, h, w) tokens."""
    found = latents(kind, state, images)
    if kind.unit_codes:
        found = F.normalize(found, dim=-1)
    side = 2 ** (len(kind.widths) - 1)
    tokens = torch.cdist(found.double(), codebook(kind, state).double()).argmin(1)
    return tokens.view(len(images), images.shape[2] // side, images.shape[3] // side)


def decode(kind: Kind, state: State, tokens: Tensor) -> Tensor:
    """(B, 3, H, W) pictures."""
    x = codebook(kind, state)[tokens].permute(0, 3, 1, 2)
    if kind.projections:
        x = _conv(state, "post_quant_conv", x)
    x = _middle(kind, state, "decoder", _conv(state, "decoder.conv_in", x))
    for level in range(len(kind.widths) - 1, -1, -1):
        for n in range(kind.decoder_blocks):
            x = _block(kind, state, f"decoder.up.{level}.block.{n}", x)
            x = _attention(state, f"decoder.up.{level}.attn.{n}", x)
        if level:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = _conv(state, f"decoder.up.{level}.upsample.conv", x)
    return _conv(state, "decoder.conv_out", _swish(_norm(state, "decoder.norm_out", x)))
