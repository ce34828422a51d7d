"""Mask schedules: the share of a hole that is still masked, as a function of the share of steps taken.

A schedule gamma falls from 1 at r = 0 to 0 at r = 1. The names and shapes are those of MaskGIT (Chang et al.
2022, section 3.3 and appendix); `mask_counts` turns them into numbers of tokens.

Differences from the paper: `exp` and `log` are stretched so that both ends are exact, with a fixed base
instead of the number of tokens.
"""

import math
from collections.abc import Callable

from maskmend.config import nearest
from maskmend.errors import ConfigError

_BASE = 256.0
"""The base n of `exp` and `log`: the number of tokens in a 16 x 16 grid."""

ROUNDING = 1e-9
"""Added before a share of the hole is rounded down to tokens: linear, step 9 of 10, 10 holes leaves 1 token
masked, not floor(0.9999999999999998)."""


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
    raise ConfigError(f"schedule {name!r} is unknown{nearest(name, SCHEDULES)}")
