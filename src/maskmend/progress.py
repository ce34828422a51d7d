"""Types of callbacks for progress and messages, and durations in words."""

from collections.abc import Callable

Progress = Callable[[int, int], object]
"""Called with how much is done and how much there is in all."""
StageProgress = Callable[[str, int, int], object]
"""The same with the name of the stage in front."""
Count = Callable[[int], object]
"""Called with a count, whose meaning is documented where the callback is passed."""
Skip = Callable[[str, str], None]
"""Called with the name of what is left out, and the reason."""
Log = Callable[[str], object]
"""Called with messages of one line."""


def duration(seconds: float) -> str:
    """A duration such as "40 s", "25 min", "3.1 h" or "2.5 days"; "0 s" only for zero."""
    if seconds < 90:
        return f"{max(1, round(seconds)) if seconds > 0 else 0} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
