"""Estimates the remaining time of a fill from the decoding steps done so far.

Several windows are decoded at once, so progress is the share of finished steps of each window. The rate
includes everything since the start: drawing, encoding, and other images of the batch.
"""

import time
from collections.abc import Callable, Sequence


class WindowPace:
    """Progress of the windows of one image.

    Args:
        steps: decoding steps of each window.
        clock: returns seconds.
    """

    def __init__(self, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps, self.clock = steps, clock
        self.shares: dict[int, float] = {}
        """Finished share (0 to 1) of each window that has started."""
        self.settled: set[int] = set()
        """Windows without hidden tokens; others of their batch may still be decoding."""
        self.begun = clock()
        self.spent = self.left = 0.0
        """Seconds since the start, and until the last window is decoded."""

    def update(self, *, part: int, together: Sequence[int], parts: int, step: int, last: bool) -> None:
        """Records a decoding step of a window.

        Args:
            part: number of the window, from 1.
            together: the windows decoded in the same batch, including this one.
            parts: total number of windows.
            step: number of the decoding step, from 1.
            last: whether this window has no hidden tokens left.
        """
        if step / self.steps < max(self.shares.get(one, 0.0) for one in together) and not (
            last and part in self.settled
        ):
            # The next samples, or the next condition, begin.
            self.shares, self.settled, self.begun = {}, set(), self.clock()
        if last:
            self.settled.add(part)
        share = 1.0 if self.settled.issuperset(together) else step / self.steps
        self.shares |= dict.fromkeys(together, share)
        self.spent = self.clock() - self.begun
        done = sum(self.shares.values()) / parts
        self.left = self.spent / done * max(0.0, 1 - done)
