"""Exponential moving average of a module's weights: the weights that are validated, sampled and exported.

    ema <- ema + (1 - decay) (weights - ema),  decay = min(limit, (1 + n) / (10 + n)) at step n

The lower decay of the first steps removes the random initial weights from the average. Buffers are copied.
"""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from maskmend.training.distributed import local

M = TypeVar("M", bound=nn.Module)


class MovingAverage(Generic[M]):
    """Keeps `module`, a copy of the trained module in eval mode, as its moving average."""

    def __init__(self, module: M, limit: float) -> None:
        self.limit = limit
        self.module: M = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: M, step: int) -> None:
        """Moves towards `module` after step number `step` (from 0)."""
        decay = min(self.limit, (1 + step) / (10 + step))
        averages: list[Tensor] = [local(p) for p in self.module.parameters()]
        weights: list[Tensor] = [local(p) for p in module.parameters()]
        torch._foreach_lerp_(averages, weights, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
        for average, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            average.copy_(buffer)
