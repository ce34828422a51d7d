"""Diversity: how much several fills of one hole differ, as the mean LPIPS over their pairs (Zhao et al. 2020,
UCTGAN).

High diversity is desirable only together with a low FID: noise is diverse too.
"""

from collections.abc import Callable
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from maskmend.errors import DataError


def diversity(
    fills: Float[Tensor, "S 3 H W"],
    distance: Callable[[Float[Tensor, "B 3 H W"], Float[Tensor, "B 3 H W"]], Float[Tensor, "B"]],
) -> float:
    """The mean `distance` (LPIPS) over all pairs of fills of one image. DataError for fewer than two."""
    if fills.shape[0] < 2:
        raise DataError(f"{fills.shape[0]} fill of an image: diversity compares at least 2")
    first, second = zip(*combinations(range(fills.shape[0]), 2), strict=True)
    with torch.inference_mode():
        return float(distance(fills[list(first)], fills[list(second)]).mean())
