"""Timing several things in turns, so that a machine's moods fall on all of them alike.

In each round every case runs once, in another order; the figure of a case is the median of its rounds, with
the quartiles as its spread. A case may ask to run in every n-th round only.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from maskmend.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What a case is held against; what is None is not asked for."""

    seconds: float | None = None
    times: float | None = None
    """Times as long as the row named `of`."""
    of: str = ""
    bytes: float | None = None
    """Peak memory."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something that is timed."""

    group: str
    """The table it belongs to."""
    name: str
    """Its row there."""
    run: Callable[[], float]
    """Does it once and returns how long it took, in seconds."""
    operations: float = 0.0
    """Floating-point operations of its products, 0 where they are not counted; for bytes copied, those."""
    ceiling: str = ""
    """The ceiling it is compared with: fp32, bf16, int8 or copy."""
    every: int = 1
    """Runs in every so many rounds."""
    warm: bool = False
    """Runs once more before, uncounted: what ran before it has filled the caches with things of its own."""
    bar: Bar | None = None
    peak: Callable[[], float] | None = None
    """Peak memory of all its runs, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a case took."""

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
    """`work` as the `run` of a case."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def interleave(
    cases: Sequence[Case], rounds: int, *, limit: float, progress: Progress | None = None
) -> list[Measured]:
    """Times all cases, after one run of each that does not count; no round begins after `limit` seconds."""
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
