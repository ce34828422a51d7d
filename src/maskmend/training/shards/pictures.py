"""Pictures in tar shards, local or remote, read on demand by byte range.

The pictures and their order are identical to `dataset.ImageSet`, but nothing is read at the start. A picture
that cannot be decoded is reported when it is used and replaced by the next one, in every epoch.
"""

import tarfile
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import UnidentifiedImageError

from maskmend.errors import ConfigError, DataError
from maskmend.storage.stores import read, read_ranges, size_of
from maskmend.training.dataset import decode
from maskmend.training.shards.cache import PictureCache
from maskmend.training.shards.index import Index


class ShardSet:
    """Pictures of an index as uint8 (H, W, 3) arrays with min(H, W) = size.

    Args:
        index: positions of the pictures.
        size: length of the shorter side, in pixels.
        cache_bytes: maximum size of decoded data in memory, for all worker processes together.
        workers: number of worker processes.
    """

    square = False
    """Not known: crops may not repeat."""
    in_a_row = 16
    """After this many undecodable pictures in a row, the data set counts as damaged."""

    def __init__(self, index: Index, size: int, *, cache_bytes: int = 4 << 30, workers: int = 1) -> None:
        self.index, self.size = index, size
        self.skipped: list[str] = []
        """A message for each picture that could not be decoded so far in this process."""
        self._bad: set[int] = set()
        self._checked: set[int] = set()
        self._cache = PictureCache(len(index), cache_bytes, max(1, workers))

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.take([number])[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    def take(self, numbers: Sequence[int]) -> list[np.ndarray]:
        """The pictures of these numbers, their bytes asked for together.

        Raises DataError if a shard cannot be read or has changed since it was indexed, or if `in_a_row`
        pictures in a row cannot be decoded.
        """
        found: dict[int, np.ndarray] = {}
        missing: list[int] = []
        for number in dict.fromkeys(numbers):
            picture = self._cache.get(number)
            if picture is None:
                missing.append(number)
            else:
                found[number] = picture
        for number, content in zip(missing, self._read(missing), strict=True):
            found[number] = self._decoded(number, content)
        return [found[number] for number in numbers]

    def place(self, number: int) -> str:
        """The name of a picture in its shard, for messages."""
        record = self.index.records[number]
        shard, offset = self.index.shard(int(record["shard"])), int(record["offset"])
        try:
            head = read(shard, offset - tarfile.BLOCKSIZE, tarfile.BLOCKSIZE)
            return f"{tarfile.TarInfo.frombuf(head, 'utf-8', 'surrogateescape').name} in {shard}"
        except (tarfile.TarError, DataError, ValueError):
            return f"the picture at byte {offset} of {shard}"

    def _read(self, numbers: Sequence[int]) -> list[bytes]:
        records = [self.index.records[number] for number in numbers]
        for record in records:
            self._check(int(record["shard"]))
        return read_ranges(
            [(self.index.shard(int(r["shard"])), int(r["offset"]), int(r["size"])) for r in records]
        )

    def _check(self, shard: int) -> None:
        """Checks each shard's size once, as pictures of a changed shard would appear damaged."""
        if shard in self._checked:
            return
        place = self.index.shard(shard)
        if (size := size_of(place)) != self.index.sizes[shard]:
            raise DataError(
                f"{place} has {size} bytes and had {self.index.sizes[shard]} when it was indexed: run "
                "`maskmend data index` again"
            )
        self._checked.add(shard)

    def _decoded(self, number: int, content: bytes) -> np.ndarray:
        for offset in range(self.in_a_row):
            other = (number + offset) % len(self)
            cached = self._cache.get(other)
            if cached is not None:
                return cached
            if other in self._bad:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # unusual metadata of single pictures
                    picture = decode(content if offset == 0 else self._read([other])[0], self.size)
            except (ConfigError, DataError):
                raise
            except UnidentifiedImageError:
                self._skip(other, "not a picture")
            except Exception as error:  # Pillow can raise almost anything for a damaged file
                self._skip(other, " ".join(str(error).split()) or type(error).__name__)
            else:
                self._cache.put(other, picture)
                return picture
        raise DataError(
            f"{self.in_a_row} pictures in a row could not be read, the first {self.place(number)}: "
            "are these the shards that were indexed?"
        )

    def _skip(self, number: int, reason: str) -> None:
        self._bad.add(number)
        self.skipped.append(f"{self.place(number)}: {reason}")
