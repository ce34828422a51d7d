"""A plain implementation of the coursework's transformer and decoding, as the baseline for the fast
path.

Full attention with separate projections and explicit softmax over the scores, logits of all tokens in every
step, and the picture decoded after each step.
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor, nn

from maskmend.decoding.mask_counts import mask_counts
from maskmend.decoding.schedules import schedule_named
from maskmend.models.attention import reference_attention
from maskmend.models.transformer import TransformerConfig


class PlainTransformer(nn.Module):
    """The coursework's architecture at any size: learned positions, post-LayerNorm."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim, self.heads = config.dim, config.heads
        self.tokens, self.positions = nn.Embedding(config.codes + 1, dim), nn.Embedding(config.tokens, dim)
        self.norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "q": nn.Linear(dim, dim),
                    "k": nn.Linear(dim, dim),
                    "v": nn.Linear(dim, dim),
                    "out": nn.Linear(dim, dim),
                    "norm1": nn.LayerNorm(dim),
                    "up": nn.Linear(dim, config.mlp),
                    "down": nn.Linear(config.mlp, dim),
                    "norm2": nn.LayerNorm(dim),
                }
            )
            for _ in range(config.layers)
        )
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim))
        self.codes = config.codes

    def forward(self, tokens: Int[Tensor, "B N"]) -> Tensor:
        x = self.norm(self.tokens(tokens) + self.positions.weight)
        for block in cast("list[nn.ModuleDict]", list(self.blocks)):
            q, k, v = (block[part](x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in "qkv")
            x = block["norm1"](x + block["out"](reference_attention(q, k, v).transpose(1, 2).flatten(2)))
            x = block["norm2"](x + block["down"](F.gelu(block["up"](x))))
        return F.linear(self.head(x), self.tokens.weight[: self.codes])


@torch.inference_mode()
def plain_decode(
    model: PlainTransformer,
    tokens: Int[Tensor, "1 N"],
    hole: Bool[Tensor, "1 N"],
    steps: int,
    draw: Callable[[Tensor], object] | None = None,
) -> Int[Tensor, "1 N"]:
    """The coursework's loop for one picture; `draw` is called with the tokens of each step."""
    masked = hole.clone()
    remaining = mask_counts(hole.sum(1), steps, schedule_named("cosine"))[0].tolist()
    for left in remaining[1:]:
        probability, best = model(tokens.masked_fill(masked, model.codes)).softmax(-1).max(-1)
        tokens = torch.where(masked, best, tokens)
        if draw is not None:
            draw(tokens)
        least = torch.where(masked, probability, torch.inf).argsort(1)[:, :left]
        masked = torch.zeros_like(masked).scatter(1, least, True)
    return tokens
