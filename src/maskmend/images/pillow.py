"""Suppresses Pillow's warnings, in one thread at a time."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings are suppressed within the block.

    Python's filters belong to the process, and each block restores those that it found: without the lock,
    of two threads whose blocks overlap, one would leave "ignore" in place for ever.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
