"""Computes the constants of the U-ViT's passes from a prompt and the picture's size.

    c = W2 silu(W1 [pooled text; sinusoids of width, height, crop, crop, aesthetic score])
    scale, shift = W silu(c)                         for each adaptive norm, each convolutional block
    t = RMSNorm(W text);  key, value = Wk t, Wv t    for each text attention of the transformer
    u = W silu(t);        key, value = Wk u, Wv u    for each one of the convolutional ends

A function that is given its weights one by one, not a module, so that they can stay in their file.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskmend.models.uvit import UViTConfig

SINUSOIDS = 256
"""Width of the embedding of each micro-condition."""
AESTHETIC_SCORE = 6.0
"""The score, of LAION's aesthetic predictor, that the published pipeline asks for."""


class Prompt(NamedTuple):
    """The output of the text encoder."""

    tokens: Float[Tensor, "T E"]
    """Hidden states before its last layer."""
    pooled: Float[Tensor, "E"]
    """The projected text embedding."""


def micro_conditions(side: int) -> Float[Tensor, "5"]:
    """Of a whole picture of `side` x `side` pixels: width, height, no crop, and the aesthetic score."""
    return torch.tensor([side, side, 0, 0, AESTHETIC_SCORE], dtype=torch.float32)


def sinusoids(values: Float[Tensor, "M"]) -> Float[Tensor, "MF"]:
    """Cosines, then sines, of each value at `SINUSOIDS` / 2 frequencies from 1 down to almost 1 / 10,000."""
    half = SINUSOIDS // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32) / half)
    angles = values[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1).flatten()


def condition(
    weight: Callable[[str], Tensor], config: UViTConfig, prompt: Prompt, micro: Float[Tensor, "5"]
) -> Iterator[tuple[str, Tensor]]:
    """The buffers of a `UViT`, by name, in float32.

    Args:
        weight: gives the weight of a name: `cond_in`, `cond_out`, `text`, `text_norm`, for c and t above; of
            each convolutional stage S `S.conv.modulation`, `S.text`, `S.text1.key`, `S.text1.value`,
            `S.text2.key`, `S.text2.value`; of each block B with its norms N `B.N.weight`, `B.N.modulation`,
            `B.text.key`, `B.text.value`.
        config: of the U-ViT.
        prompt: the encoded text.
        micro: see `micro_conditions`.
    """
    size_and_text = torch.cat([prompt.pooled.float(), sinusoids(micro)])
    c = F.silu(F.linear(F.silu(F.linear(size_and_text, weight("cond_in"))), weight("cond_out")))  # (D,)
    text = F.linear(prompt.tokens.float(), weight("text"))
    text = F.rms_norm(text, (config.dim,), weight("text_norm"), config.norm_eps)  # (T, D)
    for stage in _stages(config):
        scale, shift = F.linear(c, weight(f"{stage}.conv.modulation")).chunk(2)
        yield f"{stage}.conv.scale", 1 + scale
        yield f"{stage}.conv.shift", shift
        seen = F.linear(F.silu(text), weight(f"{stage}.text"))  # (T, C)
        for attention in (f"{stage}.text1", f"{stage}.text2"):
            yield f"{attention}.key", F.linear(seen, weight(f"{attention}.key"))
            yield f"{attention}.value", F.linear(seen, weight(f"{attention}.value"))
    for block in range(config.layers):
        for norm in (f"blocks.{block}.norm1", f"blocks.{block}.norm2", f"blocks.{block}.norm3"):
            scale, shift = F.linear(c, weight(f"{norm}.modulation")).chunk(2)
            yield f"{norm}.scale", weight(f"{norm}.weight") * (1 + scale)
            yield f"{norm}.shift", shift
        attention = f"blocks.{block}.text"
        yield f"{attention}.key", F.linear(text, weight(f"{attention}.key"))
        yield f"{attention}.value", F.linear(text, weight(f"{attention}.value"))


def _stages(config: UViTConfig) -> list[str]:
    return [f"{end}_stages.{i}" for end in ("down", "up") for i in range(config.conv_blocks)]
