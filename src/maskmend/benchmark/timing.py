"""Times several cases alternately, so that fluctuations of the machine affect all of them equally.

In each round every case runs once, in a different order. The result of a case is the median over its rounds,
with the quartiles as spread. A case can be limited to every n-th round.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from maskmend.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Limits for a case; None means no limit."""

    seconds: float | None = None
    times: float | None = None
    """Maximum ratio to the time of the row named `of`."""
    of: str = ""
    bytes: float | None = None
    """Maximum peak memory."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A benchmark case."""

    group: str
    """The table it belongs to."""
    name: str
    """Its row in the table."""
    run: Callable[[], float]
    """Runs it once and returns the time taken in seconds."""
    operations: float = 0.0
    """Floating-point operations of its matrix products, 0 if not counted; for a copy, its bytes."""
    ceiling: str = ""
    """The ceiling it is compared with: fp32, bf16, int8 or copy."""
    every: int = 1
    """Runs in every n-th round only."""
    warm: bool = False
    """Do an untimed run first, as the previous case has evicted the caches."""
    bar: Bar | None = None
    peak: Callable[[], float] | None = None
    """Peak memory of all its runs, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The timings of a case."""

    case: Case
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = np.percentile(self.seconds, (25, 75))
        return float(low), float(high)


def clocked(work: Callable[[], object]) -> Callable[[], float]:
    """Wraps `work` as the `run` of a case."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def interleave(
    cases: Sequence[Case], rounds: int, *, limit: float, progress: Progress | None = None
) -> list[Measured]:
    """Times all cases, after one warm-up run of each; no round starts after `limit` seconds."""
    for case in cases:
        case.run()
    seconds: list[list[float]] = [[] for _ in cases]
    order, start = list(range(len(cases))), time.perf_counter()
    for number in range(rounds):
        if number and time.perf_counter() - start > limit:
            break
        if progress is not None:
            progress(number + 1, rounds)
        random.Random(number).shuffle(order)
        for i in order:
            if number % cases[i].every == 0:
                if cases[i].warm:
                    cases[i].run()
                seconds[i].append(cases[i].run())
    return [Measured(case=case, seconds=tuple(s)) for case, s in zip(cases, seconds, strict=True)]
