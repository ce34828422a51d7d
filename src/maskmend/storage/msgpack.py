"""Msgpack as flax writes it: maps, numbers, texts, and arrays as an extension, read where they lie."""

import math
import mmap
import struct
from pathlib import Path
from typing import Any

import torch

from maskmend.storage.lazy_tensor import LazyTensor, mapped, whole_numbers
from maskmend.storage.torch_file import Refused

FLAX_DTYPES = {
    "float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16,
    "int64": torch.int64, "int32": torch.int32, "uint8": torch.uint8, "bool": torch.bool,
}  # fmt: skip
DEEPEST = 64
"""Levels of a msgpack file; flax's have ten."""
VALUES = 300_000
"""Most values in one, a few for each array: a second, and some ten MB."""


class MsgpackFile:
    """Reads what flax.serialization.to_bytes writes: maps, numbers, texts, and arrays as extension 1."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.place = self.values = 0

    def content(self) -> dict[Any, Any]:
        try:
            found = self._value(0)
        except (struct.error, UnicodeDecodeError, TypeError, ValueError):
            raise Refused("it is damaged or no checkpoint") from None
        if not isinstance(found, dict) or self.place != len(self.bytes):
            raise Refused("it is damaged or no checkpoint")
        return found

    def _take(self, count: int) -> bytes:
        if count > len(self.bytes) - self.place:
            raise Refused("it is damaged or no checkpoint: it ends early")
        self.place += count
        return self.bytes[self.place - count : self.place]

    def _number(self, kind: str) -> Any:
        """An int or, of the kinds f and d, a float."""
        (number,) = struct.unpack(f">{kind}", self._take(struct.calcsize(kind)))
        return number

    def _value(self, depth: int) -> Any:
        first = self._number("B")
        self.values += 1
        if self.values > VALUES:
            raise Refused(f"it has more than {VALUES} values")
        if depth > DEEPEST:
            raise Refused("it is nested too deeply for a checkpoint")
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first < 0x90:
            return self._map(first & 0x0F, depth)
        if first < 0xA0:
            return self._list(first & 0x0F, depth)
        if first < 0xC0:
            return self._take(first & 0x1F).decode()
        return self._marked(first, depth)

    def _marked(self, first: int, depth: int) -> Any:
        plain = {0xC0: None, 0xC2: False, 0xC3: True}
        numbers = {0xCA: "f", 0xCB: "d", 0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q",
                   0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q"}  # fmt: skip
        lengths = {0xC4: "B", 0xC5: "H", 0xC6: "I", 0xD9: "B", 0xDA: "H", 0xDB: "I", 0xDC: "H", 0xDD: "I",
                   0xDE: "H", 0xDF: "I", 0xC7: "B", 0xC8: "H", 0xC9: "I"}  # fmt: skip
        if first in plain:
            return plain[first]
        if first in numbers:
            return self._number(numbers[first])
        if 0xD4 <= first <= 0xD8:
            return self._extension(1 << (first - 0xD4), depth)
        if first not in lengths:
            raise Refused("it is damaged or no checkpoint")
        length = self._number(lengths[first])
        if first in (0xDE, 0xDF):
            return self._map(length, depth)
        if first in (0xDC, 0xDD):
            return self._list(length, depth)
        if first in (0xD9, 0xDA, 0xDB):
            return self._take(length).decode()
        if first in (0xC7, 0xC8, 0xC9):
            return self._extension(length, depth)
        start = self.place
        if length > len(self.bytes) - start:
            raise Refused("it is damaged or no checkpoint: it ends early")
        self.place += length
        return range(start, start + length)  # bytes: where they lie

    def _map(self, length: int, depth: int) -> dict[Any, Any]:
        found = {}
        for _ in range(length):
            name = self._value(depth + 1)
            if not isinstance(name, str | int):
                raise Refused("it is damaged or no checkpoint")
            found[name] = self._value(depth + 1)
        return found

    def _list(self, length: int, depth: int) -> list[Any]:
        return [self._value(depth + 1) for _ in range(length)]

    def _extension(self, length: int, depth: int) -> Any:
        kind, end = self._number("b"), self.place + length
        if kind != 1:
            self._take(length)
            return None
        inner = self._value(depth + 1)
        if self.place != end or not isinstance(inner, list) or len(inner) != 3:
            raise Refused("it is damaged or no checkpoint")
        shape, name, place = inner
        dtype = FLAX_DTYPES.get(str(name))
        if dtype is None or not isinstance(shape, list) or not isinstance(place, range):
            raise Refused(f"an array in it is of the unknown format {str(name)[:40]!r}")
        if not whole_numbers(*shape):
            raise Refused("an array in it is not of whole numbers")
        count = math.prod(shape)  # not NumPy's, which overflows
        if min(shape, default=0) < 0 or count * torch.empty(0, dtype=dtype).element_size() != len(place):
            raise Refused("an array in it is not as large as it says")
        return LazyTensor(
            tuple(shape), dtype, lambda: mapped(self.path, place.start, dtype, count).view(shape).clone()
        )
