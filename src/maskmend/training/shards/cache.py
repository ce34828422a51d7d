"""A cache of decoded pictures in memory shared by worker processes, with a limited size.

Pictures are added until the cache is full and never evicted. An epoch visits every picture once, in random
order, and for such access no eviction policy has a higher hit rate. Memory is allocated as the cache fills.
"""

import mmap
import multiprocessing
from typing import Any

import numpy as np

from maskmend.errors import ConfigError

_ENTRY = np.dtype([("end", "<i8"), ("height", "<u4"), ("width", "<u4")])
"""The end of a picture in memory (0 if it is not cached), its height and its width."""


class PictureCache:
    """uint8 pictures (H, W, 3) by their number.

    Forked processes share the cache. A spawned process that receives a pickled copy starts with its own empty
    cache, with a share of the capacity.

    Args:
        count: number of pictures.
        capacity: maximum size in bytes.
        shares: number of processes that divide the capacity if they cannot share the memory.

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
        """Total size in bytes of the cached pictures."""
        return int(self._used[0])

    def get(self, number: int) -> np.ndarray | None:
        end, height, width = self._entries[number].tolist()
        if end == 0:
            return None
        return self._memory[end - height * width * 3 : end].reshape(height, width, 3)

    def put(self, number: int, picture: np.ndarray) -> None:
        """Adds `picture` if there is room for it."""
        height, width, _ = picture.shape
        with self._lock:
            start = self.used
            if start + picture.nbytes > self.capacity or self._entries[number]["end"] != 0:
                return
            self._used[0] = start + picture.nbytes
        self._memory[start : start + picture.nbytes] = picture.reshape(-1)
        self._entries[number]["height"], self._entries[number]["width"] = height, width
        # Written last, as other processes read the picture from here on.
        self._entries[number]["end"] = start + picture.nbytes
