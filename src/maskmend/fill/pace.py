"""Estimates the remaining time of a fill from the decoding steps done so far, finer scales included.

Several windows are decoded at once, so progress is the share of finished steps of each window. The rate
includes everything since the start: drawing, encoding, and other images of the batch.
"""

import time
from collections.abc import Callable, Sequence

AROUND_STEPS = 6
"""Encoding and drawing of a window take about as long as so many of its decoding steps, with `photo`."""


def window_cost(steps: int) -> int:
    """Time that a window takes in so many decoding steps, in units of a step."""
    return steps + AROUND_STEPS


class WindowPace:
    """Progress of the windows of one image.

    Args:
        steps: decoding steps of each window.
        clock: returns seconds.
        finer_steps: decoding steps of each window of the finer scales that follow.
    """

    def __init__(
        self, steps: int, clock: Callable[[], float] = time.monotonic, *, finer_steps: int = 1
    ) -> None:
        self.steps, self.clock = steps, clock
        self.finer_share = window_cost(finer_steps) / window_cost(steps)
        """Time of a window of the finer scales, relative to one of these."""
        self.shares: dict[int, float] = {}
        """Finished share (0 to 1) of each window that has started."""
        self.finished: set[int] = set()
        """Windows without masked tokens; others of their batch may still be decoding."""
        self.begun = clock()
        self.spent = self.left = 0.0
        """Seconds since the start, and until the last window is decoded and refilled at the finer scales."""

    def update(
        self, *, window: int, concurrent: Sequence[int], windows: int, step: int, last: bool, finer: int = 0
    ) -> None:
        """Records a decoding step of a window.

        Args:
            window: number of the window, from 1.
            concurrent: the windows decoded in the same batch, including this one.
            windows: total number of windows.
            step: number of the decoding step, from 1.
            last: whether this window has no masked tokens left.
            finer: number of windows of the finer scales.
        """
        if step / self.steps < max(self.shares.get(one, 0.0) for one in concurrent) and not (
            last and window in self.finished
        ):
            # The next samples, or the next condition, begin.
            self.shares, self.finished, self.begun = {}, set(), self.clock()
        if last:
            self.finished.add(window)
        share = 1.0 if self.finished.issuperset(concurrent) else step / self.steps
        self.shares |= dict.fromkeys(concurrent, share)
        self.spent = self.clock() - self.begun
        done = sum(self.shares.values())
        self.left = self.spent / done * (max(0.0, windows - done) + finer * self.finer_share)
