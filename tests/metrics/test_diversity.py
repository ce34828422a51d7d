"""Diversity with a distance whose answer is known."""

import pytest
import torch
from torch import Tensor

from maskmend.errors import DataError
from maskmend.metrics.diversity import diversity


def gap(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean(dim=(1, 2, 3))


def test_mean_over_all_pairs() -> None:
    """0, 1, 3: pairs 1, 3, 2. Would catch pairs left out, counted twice, or a fill paired with itself."""
    fills = torch.tensor([0.0, 1.0, 3.0]).view(3, 1, 1, 1).expand(3, 3, 4, 4)
    assert diversity(fills, gap) == pytest.approx(2)


def test_one_fill_is_refused() -> None:
    with pytest.raises(DataError, match="at least 2"):
        diversity(torch.zeros(1, 3, 4, 4), gap)
