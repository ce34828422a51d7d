"""Exponential moving average of a module's weights: what is validated, drawn and shipped.

    shadow <- shadow + (1 - decay) (weights - shadow),  decay = min(limit, (1 + n) / (10 + n)) at step n

The short decay at the beginning lets the average forget the random initial weights. Buffers are copied.
"""

import copy

import torch
from torch import nn


class MovingAverage:
    """Keeps `shadow`, a copy of `module` in eval mode, following it."""

    def __init__(self, module: nn.Module, limit: float) -> None:
        self.limit = limit
        self.shadow = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Moves towards `module` after step number `step` (from 0)."""
        decay = min(self.limit, (1 + step) / (10 + step))
        averages = [p for p in self.shadow.parameters()]
        torch._foreach_lerp_(averages, list(module.parameters()), 1 - decay)
        for average, buffer in zip(self.shadow.buffers(), module.buffers(), strict=True):
            average.copy_(buffer)
