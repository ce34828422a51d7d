"""Progress on the terminal while the windows of a hole are decoded."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maskmend.fill.pace import WindowPace
from maskmend.progress import duration

if TYPE_CHECKING:
    from maskmend.fill.preview import Preview


class WindowReport:
    """Called with each `Preview` of one picture's fill.

    Args:
        status: what shows the word (`working`).
        steps: decoding steps of each window.
        samples: fills in all, of which one call makes as many as its preview tells.
        clock: seconds.
    """

    SURE = 1.0
    """Seconds of work from which the rest is estimated."""

    def __init__(
        self, status: Any, steps: int, samples: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.status, self.samples, self.pace = status, samples, WindowPace(steps, clock)
        self.before = 0
        """Fills that were finished in calls before this one."""

    def __call__(self, preview: "Preview") -> None:
        (total,) = preview.parts.values()
        step, pace = preview.step.index, self.pace
        pace.update(part=preview.part, together=preview.together, parts=total, step=step, last=preview.last)
        which = f"window {preview.part} of {total}, " if total > 1 else ""
        calls = max(0, self.samples - self.before - preview.samples) / preview.samples
        seconds = pace.left + calls * (pace.spent + pace.left)
        left = f", about {duration(seconds)} left" if pace.spent >= self.SURE else ""
        self.status.update(f"filling: {which}step {step} of {pace.steps}{left}")
