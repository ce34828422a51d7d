"""Progress on the terminal while the windows of a hole are decoded, and a warning before what takes long."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maskmend.cli.options import announce
from maskmend.fill.pace import WindowPace
from maskmend.progress import duration

if TYPE_CHECKING:
    from maskmend.fill.preview import Preview


class LongFill:
    """Announces, once, a fill that takes longer than `LONG` seconds."""

    LONG = 10.0

    def __init__(self) -> None:
        self.announced = False

    def __call__(self, seconds: float, text: str) -> None:
        if seconds > self.LONG and not self.announced:
            self.announced = True
            announce(text)


class WindowReport:
    """Called with each `Preview` of one picture's fill.

    Args:
        status: what shows the word (`working`).
        steps: decoding steps of each window.
        samples: fills in all, of which one call makes as many as its preview says.
        clock: seconds.
        finer_steps: decoding steps of each window of the finer levels.
        long: announces a fill that takes long, as soon as it can be estimated.
    """

    MIN_SECONDS = 1.0
    """Seconds of work from which the rest is estimated."""

    def __init__(
        self,
        status: Any,
        steps: int,
        samples: int = 1,
        clock: Callable[[], float] = time.monotonic,
        *,
        finer_steps: int = 1,
        long: LongFill | None = None,
    ) -> None:
        self.status, self.samples, self.long = status, samples, long or LongFill()
        self.pace = WindowPace(steps, clock, finer_steps=finer_steps)
        self.before = 0
        """Fills that were finished in calls before this one."""

    def __call__(self, preview: "Preview") -> None:
        (total,), (finer,) = preview.windows.values(), preview.finer.values()
        step, pace = preview.step.index, self.pace
        pace.update(
            window=preview.window,
            concurrent=preview.concurrent,
            windows=total,
            step=step,
            last=preview.last,
            finer=finer,
        )
        which = f"window {preview.window} of {total}, " if total > 1 else ""
        calls = max(0, self.samples - self.before - preview.samples) / preview.samples
        seconds = pace.left + calls * (pace.spent + pace.left)
        left = ""
        if pace.spent >= self.MIN_SECONDS:
            left = f", about {duration(seconds)} left"
            if self.before == 0:
                self.long(pace.spent + seconds, self._warning(total, finer, pace.spent + seconds))
        self.status.update(f"filling: {which}step {step} of {pace.steps}{left}")

    def _warning(self, windows: int, finer: int, seconds: float) -> str:
        each = " for each fill" if self.samples > 1 else ""
        what = f"{windows} window{'s' if windows > 1 else ''}"
        instead = "--set windows=1 takes one, less sharp" if windows > 1 else ""
        if finer:
            what += f", then {finer} on finer levels"
            instead = "--set detail=0 stops at the coarse fill"
        return f"{what}{each}: about {duration(seconds)} in all" + (f" ({instead})" if instead else "")
