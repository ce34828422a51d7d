"""How long the windows of a hole still take, estimated from those decoded so far.

Windows are decoded several at a time and step by step, so what counts as done is the share of each window's
steps. The rate is that of all work since the beginning: drawing, encoding and other images of the batch
included.
"""

import time
from collections.abc import Callable, Sequence


class WindowPace:
    """The windows of one image under way.

    Args:
        steps: decoding steps of each window.
        clock: seconds.
    """

    def __init__(self, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps, self.clock = steps, clock
        self.shares: dict[int, float] = {}
        """How much is done of each window that was begun, of 1."""
        self.settled: set[int] = set()
        """Windows in which nothing is left to be decoded; those decoded with them may still go on."""
        self.begun = clock()
        self.spent = self.left = 0.0
        """Seconds since the beginning, and until the last window is decoded."""

    def update(self, *, part: int, together: Sequence[int], parts: int, step: int, last: bool) -> None:
        """Counts a step of the window `part`, one of `parts` in all.

        Args:
            part: which window, from 1.
            together: all that are decoded with it, itself among them.
            parts: how many windows there are.
            step: which decoding step, from 1.
            last: whether nothing is left to be decoded in this window.
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
