"""Decoded pictures in memory that worker processes share, up to a number of bytes.

What fits stays: an epoch shows every picture once, in an order of its own, and under such an order no rule of
replacement finds more of the pictures than keeping the first. The memory is taken as it fills.
"""

import mmap
import multiprocessing
from typing import Any

import numpy as np

from maskmend.errors import ConfigError

_ENTRY = np.dtype([("end", "<i8"), ("height", "<u4"), ("width", "<u4")])
"""Where a picture ends in the memory, 0 for one that is not there, and its sides."""


class PictureCache:
    """uint8 pictures (H, W, 3) by their number.

    Processes that are forked share it. One that is started afresh and gets a copy of it begins with an empty
    cache of its own, a share of the capacity.

    Args:
        count: how many pictures there are.
        capacity: bytes of pictures that it keeps.
        shares: among how many processes the capacity is divided where they cannot share it.

    Raises ConfigError for a capacity that the machine refuses.
    """

    def __init__(self, count: int, capacity: int, shares: int = 1) -> None:
        self.count, self.capacity, self.shares = count, capacity, shares
        self._entries = np.frombuffer(mmap.mmap(-1, max(1, count) * _ENTRY.itemsize), _ENTRY)
        try:
            self._memory = np.frombuffer(mmap.mmap(-1, max(1, capacity)), np.uint8)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"no memory for {capacity / 2**30:.3g} GiB of decoded pictures ({error}): "
                "lower data.cache_gib"
            ) from None
        self._used = np.frombuffer(mmap.mmap(-1, 8), np.int64)
        self._lock = multiprocessing.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return PictureCache, (self.count, self.capacity // self.shares)

    @property
    def used(self) -> int:
        """Bytes of the pictures it holds."""
        return int(self._used[0])

    def get(self, number: int) -> np.ndarray | None:
        end, height, width = self._entries[number].tolist()
        if end == 0:
            return None
        return self._memory[end - height * width * 3 : end].reshape(height, width, 3)

    def put(self, number: int, picture: np.ndarray) -> None:
        """Keeps `picture` if there is room for it."""
        height, width, _ = picture.shape
        with self._lock:
            start = self.used
            if start + picture.nbytes > self.capacity or self._entries[number]["end"] != 0:
                return
            self._used[0] = start + picture.nbytes
        self._memory[start : start + picture.nbytes] = picture.reshape(-1)
        self._entries[number]["height"], self._entries[number]["width"] = height, width
        # Last: another process takes it from here on.
        self._entries[number]["end"] = start + picture.nbytes
