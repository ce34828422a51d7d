"""Waiting for events, for as long as the slowest machine may need."""

import time
from collections.abc import Callable

PATIENCE = 600.0
"""Seconds that a test waits for what has to happen, on the slowest machine: only a failure takes as long."""


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits until `true()` is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it did not happen in {seconds:g} s"
        time.sleep(0.01)
