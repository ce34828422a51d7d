"""A safetensors file written tensor by tensor: no more than one of them is in memory at a time.

The library's own writer wants all tensors at once. Names, formats and shapes are known beforehand, so the
header can be written first: eight bytes with its length, JSON padded with spaces, then the tensors one behind
the other.
"""

import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import BinaryIO, NamedTuple

BYTES = {"F32": 4, "F16": 2, "BF16": 2}
"""Size of a number in each format that is written."""
ALIGNMENT = 8


class Entry(NamedTuple):
    """A tensor that is to be written."""

    name: str
    dtype: str
    """Of `BYTES`."""
    shape: tuple[int, ...]
    produce: Callable[[], bytes | memoryview]
    """Gives its numbers, little-endian, in row-major order."""

    @property
    def size(self) -> int:
        return math.prod(self.shape) * BYTES[self.dtype]


def write_tensors(
    file: BinaryIO,
    entries: Iterable[Entry],
    metadata: Mapping[str, str],
    progress: Callable[[int], object] | None = None,
) -> None:
    """Writes `entries` in the order of their names, as equal weights shall make equal files.

    `progress` is called with the bytes of each tensor once it is written. Raises OSError.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)
    header = _header(ordered, metadata)
    file.write(struct.pack("<Q", len(header)) + header)
    for entry in ordered:
        content = entry.produce()
        size = content.nbytes if isinstance(content, memoryview) else len(content)
        assert size == entry.size, (entry.name, size, entry.size)
        file.write(content)
        if progress is not None:
            progress(size)


def _header(entries: Sequence[Entry], metadata: Mapping[str, str]) -> bytes:
    described: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    place = 0
    for entry in entries:
        offsets = [place, place + entry.size]
        described[entry.name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": offsets}
        place += entry.size
    header = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    return header + b" " * (-len(header) % ALIGNMENT)
