"""The moving average of the weights: its formula, its buffers, and that it is no part of the training."""

import pytest
import torch
from torch import nn

from maskmend.training.ema import MovingAverage


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def disturb(m: nn.Module) -> None:
    with torch.no_grad():
        for tensor in [*m.parameters(), *m.buffers()]:
            tensor.add_(1 if tensor.dtype == torch.long else torch.randn_like(tensor))


@pytest.mark.parametrize("limit", [0.0, 0.5, 0.999])
def test_average_follows_its_formula(limit: float) -> None:
    """Would catch a decay applied to the wrong side, and the short decay of the beginning left out."""
    m = module()
    average = MovingAverage(m, limit)
    expected = [p.detach().clone() for p in m.parameters()]
    for step in range(20):
        disturb(m)
        average.update(m, step)
        decay = min(limit, (1 + step) / (10 + step))
        expected = [
            decay * a + (1 - decay) * p.detach() for a, p in zip(expected, m.parameters(), strict=True)
        ]
    for a, b in zip(average.module.parameters(), expected, strict=True):
        torch.testing.assert_close(a.detach(), b)


def test_first_step_forgets_the_initial_weights() -> None:
    """Would catch an average that drags random weights along for thousands of steps."""
    m = module()
    start = m[0].weight.detach().clone()
    average = MovingAverage(m, 0.999)
    disturb(m)
    average.update(m, 0)
    torch.testing.assert_close(average.module[0].weight, start.lerp(m[0].weight.detach(), 0.9))


def test_buffers_are_copied_not_averaged() -> None:
    """Would catch a codebook that lags behind the encoder it was made with, and averaged counters."""
    m = module()
    average = MovingAverage(m, 0.9)
    disturb(m)
    average.update(m, 5)
    for mine, theirs in zip(average.module.buffers(), m.buffers(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.data_ptr() != theirs.data_ptr()


def test_average_is_frozen_in_eval_mode_and_apart() -> None:
    """Would catch dropout in validation, gradients into the average, and weights shared with the model."""
    m = module().train()
    average = MovingAverage(m, 0.9)
    assert not any(part.training for part in average.module.modules())
    assert not any(p.requires_grad for p in average.module.parameters())
    before = [p.clone() for p in average.module.parameters()]
    disturb(m)
    assert all(torch.equal(a, b) for a, b in zip(before, average.module.parameters(), strict=True))
    assert m.training
    assert all(p.requires_grad for p in m.parameters())
