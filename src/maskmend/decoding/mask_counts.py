"""The number of tokens that stay masked after each decoding step: the schedule in whole tokens.

m_t = floor(gamma(t/T) * m_0) (MaskGIT, Chang et al. 2022, section 3.2). Unlike in the paper, every step fills
at least one token while any is left, so no forward pass is wasted.
"""

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor

from maskmend.decoding.schedules import ROUNDING
from maskmend.errors import ConfigError


def mask_counts(
    holes: Int[Tensor, "B"], steps: int, gamma: Callable[[float], float]
) -> Int[Tensor, "B {steps}+1"]:
    """The number of tokens still masked after every step, for each image of a batch.

    Column t is min(floor(gamma(t/T) * holes), column t-1 minus 1), never below 0. Column 0 is `holes` itself
    and the last is 0. With fewer hole tokens than steps the table reaches 0 early.

    Args:
        holes: the number of hole tokens of each image, 0 or more.
        steps: T, 1 or more.
        gamma: the schedule, falling from 1 at 0 to 0 at 1; those of the paper are in `schedules`.

    Raises:
        ConfigError: steps below 1, or a negative number of holes.
    """
    if steps < 1:
        raise ConfigError(f"steps is {steps}: give 1 or more")
    if (holes < 0).any():
        raise ConfigError(f"holes is {holes.tolist()}: a number of tokens is 0 or more")
    shares = [gamma(t / steps) for t in range(steps + 1)]
    share = torch.tensor(shares, dtype=torch.float64, device=holes.device)
    wanted = (holes[:, None].double() * share + ROUNDING).floor().long()  # (B, T+1)
    t = torch.arange(steps + 1, device=holes.device)
    # m[t] = min(wanted[t], m[t-1] - 1), unrolled: m[t] + t is the running minimum of wanted + t.
    return ((wanted + t).cummin(dim=1).values - t).clamp(min=0)
