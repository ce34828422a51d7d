"""Exponential moving average of a module's weights: what is validated, drawn and shipped.

    shadow <- shadow + (1 - decay) (weights - shadow),  decay = min(limit, (1 + n) / (10 + n)) at step n

The short decay at the beginning lets the average forget the random initial weights. Buffers are copied.
"""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class MovingAverage(Generic[M]):
    """Keeps `shadow`, a copy of `module` in eval mode, following it."""

    def __init__(self, module: M, limit: float) -> None:
        self.limit = limit
        self.shadow: M = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: M, step: int) -> None:
        """Moves towards `module` after step number `step` (from 0)."""
        decay = min(self.limit, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.shadow.parameters())
        weights: list[Tensor] = list(module.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
        for average, buffer in zip(self.shadow.buffers(), module.buffers(), strict=True):
            average.copy_(buffer)
