"""Progress on the terminal while the windows of a hole are decoded."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskmend.fill.preview import Preview


class WindowReport:
    """Called with each `Preview` of one picture's fill.

    Args:
        status: what shows the word (`working`).
        steps: decoding steps of each window.
        clock: seconds.
    """

    SURE = 1.0
    """Seconds of work from which the rest is estimated."""

    def __init__(self, status: Any, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.status, self.steps, self.clock = status, steps, clock
        self.shares: dict[int, float] = {}
        """How much is done of each window that was begun, of 1."""
        self.begun = clock()

    def __call__(self, preview: "Preview") -> None:
        (total,) = preview.parts.values()
        step = preview.step.index
        share = 1.0 if preview.last else step / self.steps
        if share < self.shares.get(preview.part, 0.0):  # the next samples begin
            self.shares, self.begun = {}, self.clock()
        self.shares[preview.part] = share
        spent, done = self.clock() - self.begun, sum(self.shares.values()) / total
        which = f"window {preview.part} of {total}, " if total > 1 else ""
        left = f", about {spent / done * (1 - done):.0f} s left" if spent >= self.SURE else ""
        self.status.update(f"filling: {which}step {step} of {self.steps}{left}")
