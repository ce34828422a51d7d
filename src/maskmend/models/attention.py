"""Multi-head self-attention, written out (Vaswani et al. 2017, section 3.2).

    q, k, v = x Wq, x Wk, x Wv        split into h heads of width d = D / h
    head_i  = softmax(q_i k_i^T / sqrt(d)) v_i
    out     = concat(head_1 .. head_h) Wo

Attention is computed by PyTorch's fused kernel; `reference_attention` is the same formula written out, and
tests compare the two. Two-dimensional rotary position embeddings (RoPE, Su et al. 2021)
rotate pairs of channels by an angle that grows with the row (first half of a head's pairs) or with the column
(second half): the product of a query and a key then depends on their offset in rows and columns alone.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def reference_attention(
    q: Float[Tensor, "*B T d"],
    k: Float[Tensor, "*B S d"],
    v: Float[Tensor, "*B S d"],
    attn_mask: Bool[Tensor, "*#B #T S"] | None = None,
) -> Float[Tensor, "*B T d"]:
    """softmax(q k^T / sqrt(d)) v; where `attn_mask` is False the weight is zero. For tests."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    return torch.softmax(scores, dim=-1) @ v


def rope_angles(positions: Int[Tensor, "*B T"], side: int, head_dim: int) -> Float[Tensor, "*B T half"]:
    """Angles of the rotary embedding at `positions` of a grid of `side` columns; half = head_dim / 2."""
    quarter = head_dim // 4
    # Periods from 4 tokens to at most 8 sides: lower frequencies would hardly vary over the grid.
    wave = torch.arange(quarter, device=positions.device, dtype=torch.float32)
    frequency = (2.0 * side) ** (-wave / quarter)
    row = torch.div(positions, side, rounding_mode="floor")
    column = positions - row * side
    angles = torch.stack([row, column], dim=-1).float()[..., None] * frequency * (math.pi / 2)
    return angles.flatten(-2)


class Rotation(NamedTuple):
    """Cosine and sine of the rotary angles, the same for all heads and blocks."""

    cos: Float[Tensor, "B T half"]
    sin: Float[Tensor, "B T half"]

    @classmethod
    def by(cls, angles: Float[Tensor, "*B T half"]) -> "Rotation":
        return cls(angles.cos(), angles.sin())


def apply_rope(x: Float[Tensor, "B h T d"], rope: Rotation) -> Float[Tensor, "B h T d"]:
    """Rotates the channel pairs (i, i + d/2) of every head."""
    cos, sin = rope.cos[:, None].to(x.dtype), rope.sin[:, None].to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class MultiHeadAttention(nn.Module):
    """Self-attention with h heads over tokens (B, T, D).

    Args:
        dim: width D of the tokens, divisible by `heads`.
        heads: number of heads h.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def split_heads(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B h T d"]:
        """(B, T, D) to (B, h, T, D / h)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def project(
        self, x: Float[Tensor, "B T D"], rope: Rotation | None = None
    ) -> tuple[Float[Tensor, "B h T d"], Float[Tensor, "B h T d"], Float[Tensor, "B h T d"]]:
        """Queries, keys and values; queries and keys are rotated where `rope` is given."""
        q, k, v = (
            self.split_heads(self.query(x)),
            self.split_heads(self.key(x)),
            self.split_heads(self.value(x)),
        )
        if rope is not None:
            q, k = apply_rope(q, rope), apply_rope(k, rope)
        return q, k, v

    def merge_heads(self, heads: Float[Tensor, "B h T d"]) -> Float[Tensor, "B T D"]:
        """The heads side by side, through the output projection."""
        return self.out(heads.transpose(1, 2).flatten(2))

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        attn_mask: Bool[Tensor, "#B #h #T T"] | None = None,
        rope: Rotation | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Attention of `x` over itself where `attn_mask` is True, with RoPE where `rope` is given."""
        q, k, v = self.project(x, rope)
        return self.merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask))
