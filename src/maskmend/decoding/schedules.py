"""How many tokens stay masked after each decoding step.

A schedule gamma falls from 1 at r = 0 to 0 at r = 1; after step t of T, floor(gamma(t/T) * holes) tokens of
an image are still masked. The names and shapes are those of MaskGIT (Chang et al. 2022, section 3.3 and
appendix).

Differences from the paper: `exp` and `log` are stretched so that both ends are exact, with a fixed base
instead of the number of tokens; every step fills at least one token while any is left, so no forward pass is
wasted.
"""

import difflib
import math
from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor

from maskmend.errors import ConfigError

_BASE = 256.0
"""The base n of `exp` and `log`: the number of tokens in a 16 x 16 grid."""

_ROUNDING = 1e-9
"""Added before floor: linear, step 9 of 10, 10 holes leaves 1 token masked, not floor(0.9999999999999998)."""


def _cosine(r: float) -> float:
    # The sine form of cos(pi r / 2): exactly 0 at r = 1, where the cosine gives 6e-17.
    return math.sin(math.pi / 2 * (1 - r))


def _arccos(r: float) -> float:
    return math.acos(r) * 2 / math.pi


def _log(r: float) -> float:
    # -log_n of r, with [0, 1] moved to [1/n, 1] to avoid the pole at 0.
    return 1 - math.log(1 + (_BASE - 1) * r) / math.log(_BASE)


def _exp(r: float) -> float:
    # 1 - n^(r - 1), divided by its value at 0.
    return (_BASE - _BASE**r) / (_BASE - 1)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": _cosine,
    "linear": lambda r: 1 - r,
    "square": lambda r: 1 - r**2,
    "square_root": lambda r: 1 - math.sqrt(r),
    "arccos": _arccos,
    "cubic": lambda r: 1 - r**3,
    "log": _log,
    "exp": _exp,
}
"""gamma(r) by name, for r in [0, 1], decreasing from exactly 1 to exactly 0.

    cosine       cos(pi r / 2)                    few tokens first, many last
    linear       1 - r                            as many each step
    square       1 - r^2                          few first
    square_root  1 - sqrt(r)                      many first
    arccos       2 arccos(r) / pi                 few first, many in the last step
    cubic        1 - r^3                          few first, more so than square
    log          1 - log_n(1 + (n - 1) r)         nearly all first     (n = 256)
    exp          (n - n^r) / (n - 1)              nearly all last      (n = 256)
"""


def schedule_named(name: str) -> Callable[[float], float]:
    """The schedule of that name.

    Raises:
        ConfigError: no such schedule; the message lists the names and suggests the nearest.
    """
    if name in SCHEDULES:
        return SCHEDULES[name]
    near = difflib.get_close_matches(name, SCHEDULES, n=1, cutoff=0.0)[0]
    raise ConfigError(f"unknown schedule {name!r}: did you mean {near!r}? Known are {', '.join(SCHEDULES)}")


def plan(holes: Int[Tensor, "B"], steps: int, schedule: str) -> Int[Tensor, "B {steps}+1"]:
    """The number of tokens still masked after every step, for each image of a batch.

    Column t is min(floor(gamma(t/T) * holes), column t-1 minus 1), never below 0. Column 0 is `holes` itself
    and the last is 0. With fewer hole tokens than steps the table reaches 0 early.

    Args:
        holes: the number of hole tokens of each image, 0 or more.
        steps: T, 1 or more.
        schedule: a name in SCHEDULES.

    Raises:
        ConfigError: unknown schedule, steps below 1, or a negative number of holes.
    """
    gamma = schedule_named(schedule)
    if steps < 1:
        raise ConfigError(f"steps is {steps}: give 1 or more")
    if (holes < 0).any():
        raise ConfigError(f"holes is {holes.tolist()}: a number of tokens is 0 or more")
    shares = [gamma(t / steps) for t in range(steps + 1)]
    share = torch.tensor(shares, dtype=torch.float64, device=holes.device)
    wanted = (holes[:, None].double() * share + _ROUNDING).floor().long()  # (B, T+1)
    t = torch.arange(steps + 1, device=holes.device)
    # m[t] = min(wanted[t], m[t-1] - 1), unrolled: m[t] + t is the running minimum of wanted + t.
    return ((wanted + t).cummin(dim=1).values - t).clamp(min=0)


def masked_after(step: int, steps: int, holes: Int[Tensor, "B"], schedule: str) -> Int[Tensor, "B"]:
    """The number of tokens still masked after step `step` (0 to `steps`) of each image: one column of `plan`.

    Raises:
        ConfigError: as `plan`, and for a step outside 0 to `steps`.
    """
    table = plan(holes, steps, schedule)
    if not 0 <= step <= steps:
        raise ConfigError(f"step is {step}: with {steps} steps give 0 to {steps}")
    return table[:, step]
