"""The transformer of Halton-MaskGIT (Besnier et al. 2025, "Halton Scheduler for Masked Generative Image
Transformer").

    tokens + position, then registers ─► L blocks ─► adaptive norm ─► tied head ─► logits
    x = x + a1 attention((1 + c1) RMS(x) + b1)        x = x + a2 SwiGLU((1 + c2) RMS(x) + b2)

Shift b, scale c and gate a of each block come from the class alone (DiT's adaptive norm); class number
`labels` stands for none. Queries and keys are normalised over all heads jointly, without weights. Registers
are tokens without a position, dropped before the head. Shift, scale and gate could be computed once for a
fill, but they cost little: one row, where a step has hundreds.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskmend.errors import ConfigError
from maskmend.models.token_model import ConvertedConfig, TokenModel, wanted_rows

EPS = 1e-5


@dataclass(frozen=True, kw_only=True)
class HaltonConfig(ConvertedConfig):
    MAY_BE_ZERO: ClassVar = ("registers",)
    codes: int = 16384
    grid: int = 24
    dim: int = 1024
    heads: int = 16
    """Attention heads, each of width dim / heads, rounded down."""
    layers: int = 24
    mlp: int = 2816
    registers: int = 1
    """Number of register tokens."""
    labels: int = 1000
    """Number of classes; one more is for unconditional sampling."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim < self.heads:
            raise ConfigError(
                f"dim = {self.dim}, heads = {self.heads}: choose a width of at least 1 for each head"
            )

    @property
    def unconditional(self) -> bool:
        """One label in ten was dropped in training."""
        return True

    @property
    def inner(self) -> int:
        """Width of all heads together: less than `dim` where `heads` does not divide it."""
        return self.dim // self.heads * self.heads


class HaltonAttention(nn.Module):
    """Attention whose queries and keys have length sqrt(width), all heads together."""

    def __init__(self, config: HaltonConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.dim, config.inner, bias=False)
        self.key = nn.Linear(config.dim, config.inner, bias=False)
        self.value = nn.Linear(config.dim, config.inner, bias=False)
        self.out = nn.Linear(config.inner, config.dim, bias=False)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        q, k, v = self.query(x), self.key(x), self.value(x)
        q, k = (F.rms_norm(each, each.shape[-1:], eps=EPS) for each in (q, k))
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (q, k, v))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class HaltonBlock(nn.Module):
    """Attention and SwiGLU, each shifted, scaled and gated by the class."""

    def __init__(self, config: HaltonConfig) -> None:
        super().__init__()
        self.modulation = nn.Linear(config.dim, 6 * config.dim)
        self.norm1 = nn.RMSNorm(config.dim, eps=EPS)
        self.attention = HaltonAttention(config)
        self.norm2 = nn.RMSNorm(config.dim, eps=EPS)
        self.gate = nn.Linear(config.dim, config.mlp, bias=False)
        self.up = nn.Linear(config.dim, config.mlp, bias=False)
        self.down = nn.Linear(config.mlp, config.dim, bias=False)

    def forward(self, x: Float[Tensor, "B T D"], label: Float[Tensor, "B 1 D"]) -> Float[Tensor, "B T D"]:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(F.silu(label)).chunk(6, dim=-1)
        x = x + gate1 * self.attention(self.norm1(x) * (1 + scale1) + shift1)
        y = self.norm2(x) * (1 + scale2) + shift2
        return x + gate2 * self.down(F.silu(self.gate(y)) * self.up(y))


class Halton(TokenModel):
    """Predicts masked tokens from visible ones and a class, or none."""

    architecture: ClassVar[str] = "halton"
    config: HaltonConfig

    def __init__(self, config: HaltonConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.codes + 1, config.dim)
        self.class_embedding = nn.Embedding(config.labels + 1, config.dim)
        self.position_embedding = nn.Parameter(torch.zeros(config.grid**2, config.dim))
        self.registers = nn.Parameter(torch.zeros(config.registers, config.dim))
        self.blocks = nn.ModuleList(HaltonBlock(config) for _ in range(config.layers))
        self.final_modulation = nn.Linear(config.dim, 2 * config.dim)
        self.final_norm = nn.RMSNorm(config.dim, eps=EPS)
        self.final_bias = nn.Parameter(torch.zeros(config.dim))
        self.bias = nn.Parameter(torch.zeros(config.codes))

    def forward(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        wanted: Bool[Tensor, "B N"] | Int[Tensor, "S"] | None = None,
        hints: Any = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "S K"]:
        """As `TokenModel.forward`; `condition` holds the pictures' classes (B,), None is no class."""
        if condition is None:
            condition = torch.full_like(tokens[:, 0], self.config.labels)
        label = self.class_embedding(condition)[:, None]
        x = self.token_embedding(tokens) + self.position_embedding
        x = torch.cat([x, self.registers.expand(len(x), -1, -1)], 1)
        for block in self.blocks:
            x = block(x, label)
        shift, scale = self.final_modulation(F.silu(label)).chunk(2, dim=-1)
        x = (self.final_norm(x) + self.final_bias) * (1 + scale) + shift
        x = wanted_rows(x[:, : tokens.shape[1]], wanted)
        return F.linear(x, self.token_embedding.weight[: self.config.codes], self.bias)
