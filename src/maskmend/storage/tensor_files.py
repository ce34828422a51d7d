"""Tensors of a file by name, shape and format, known before any of them is read.

    safetensors, torch.save or flax's msgpack ─► names, shapes, formats ─► one tensor at a time

So a checkpoint of gigabytes can be checked before memory is allocated, and converted without loading it as a
whole. No code in a file is executed: classes in a pickle are looked up in the table below only, its tensors
become references to their data, and everything else (training arguments, names of callbacks) becomes an inert
object.
"""

import json
import math
import mmap
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maskmend.storage import torch_file
from maskmend.storage.torch_file import Refused

INERT = (
    "argparse Namespace",
    "numpy dtype",
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "pytorch_lightning.callbacks.model_checkpoint ModelCheckpoint",
    "pytorch_lightning.callbacks.lr_monitor LearningRateMonitor",
)
"""Classes in training checkpoints that are ignored."""
DTYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip
SAFE_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "BOOL": torch.bool,
}  # fmt: skip
FLAX_DTYPES = {
    "float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16,
    "int64": torch.int64, "int32": torch.int32, "uint8": torch.uint8, "bool": torch.bool,
}  # fmt: skip
DEEPEST = 64
"""Levels of a msgpack file; flax's have ten."""
VALUES = 300_000
"""Most values in one, a few for each array: a second, and some ten MB."""


class LazyTensor(NamedTuple):
    """A tensor of a file that has not been read."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]


def open_tensors(path: Path) -> dict[Any, Any]:
    """What the file holds: nested dictionaries whose tensors are `LazyTensor`.

    Raises Refused for a file of another kind, a damaged one and one that asks for what no checkpoint needs;
    OSError.
    """
    with path.open("rb") as file:
        start = file.read(16)
    if path.suffix == ".safetensors" or _is_safetensors(start, path.stat().st_size):
        return _safetensors(path)
    if start[:4] == b"PK\x03\x04":
        return _torch_archive(path)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04"):
        return _old_torch_file(path)
    if start[:1] and (0x80 <= start[0] <= 0x8F or start[0] in (0xDE, 0xDF)):
        return _Msgpack(path).content()
    raise Refused("it is damaged or no checkpoint")


def _is_safetensors(start: bytes, size: int) -> bool:
    return len(start) > 8 and start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] <= size


def _safetensors(path: Path) -> dict[Any, Any]:
    """The library checks the file; each tensor is then mapped by itself, and let go of once it is copied.

    Through the library the whole file stays mapped, and what was read of it counts as the process's memory.
    """
    try:
        with safe_open(path, framework="pt") as file, path.open("rb") as content:
            (length,) = struct.unpack("<Q", content.read(8))
            header = json.loads(content.read(length))
            names = list(file.keys())
    except (SafetensorError, json.JSONDecodeError) as error:
        raise Refused(f"it is damaged or no checkpoint ({error})") from None
    found: dict[Any, Any] = {}
    for name in names:
        about, shape = header[name], tuple(header[name]["shape"])
        dtype = SAFE_DTYPES.get(about["dtype"], torch.complex64)
        place, count = 8 + length + about["data_offsets"][0], math.prod(shape)
        found[name] = LazyTensor(
            shape,
            dtype,
            lambda place=place, dtype=dtype, count=count, shape=shape: (
                _mapped(path, place, dtype, count).view(shape).clone()
            ),
        )
    return found


_DAMAGED = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError
)  # fmt: skip


class _Nothing:
    """What becomes of an object of no use to anybody who reads weights."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Storage(NamedTuple):
    key: str
    dtype: torch.dtype
    length: int


class _Archive(pickle.Unpickler):
    """Reads `data.pkl` of a file of torch.save that `torch_file.check` let pass."""

    def __init__(self, file: Any, tensor: Callable[..., LazyTensor]) -> None:
        super().__init__(file)
        self._tensor = tensor

    def find_class(self, module_name: str, global_name: str) -> Any:
        name = f"{module_name} {global_name}"
        if name in ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor"):
            return self._tensor
        if name in ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state"):
            return lambda data, *_: data
        if name == "collections OrderedDict":
            return OrderedDict
        if module_name == "torch" and (kind := DTYPES.get(global_name.removesuffix("Storage"))):
            return kind
        if name in INERT or name in ("torch Size", "torch device", "_codecs encode"):
            return _Nothing
        raise Refused(f"it asks for {module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, count = pid[:5]
        if not isinstance(kind, torch.dtype):
            raise Refused("it is damaged or no checkpoint")
        return _Storage(str(key), kind, count)


def _torch_archive(path: Path) -> dict[Any, Any]:
    torch_file.check(path, INERT)
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        entries = {entry.filename: entry for entry in archive.infolist()}
        size = path.stat().st_size
        folder = next(iter(entries)).partition("/")[0] + "/"
        starts = {name: _start(file, entry) for name, entry in entries.items() if "/data/" in name}

        def tensor(
            storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
        ) -> LazyTensor:
            if not _whole(offset, *shape, *stride):
                raise Refused("a tensor in it is not of whole numbers")
            last = offset + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
            empty = 0 in shape
            if min(offset, *stride, 0) < 0 or (not empty and last >= storage.length):
                raise Refused("a tensor in it leaves its storage")
            place = starts[f"{folder}data/{storage.key}"]
            if place + storage.length * storage.dtype.itemsize > size:
                raise Refused("a tensor in it leaves the file")

            def read() -> Tensor:
                values = _mapped(path, place, storage.dtype, storage.length)
                return torch.as_strided(values, tuple(shape), tuple(stride), offset).clone()

            return LazyTensor(tuple(shape), storage.dtype, read)

        try:
            content = _Archive(archive.open(f"{folder}data.pkl"), tensor).load()
        except (
            pickle.UnpicklingError,
            EOFError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            IndexError,
        ):
            raise Refused("it is damaged or no checkpoint") from None
    if not isinstance(content, dict):
        raise Refused(f"it holds a {type(content).__name__}, no dictionary of tensors")
    return content


def _start(file: Any, entry: zipfile.ZipInfo) -> int:
    """Where an entry's bytes begin; the lengths in its own header may differ from the table's."""
    file.seek(max(0, entry.header_offset))
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04" or entry.header_offset < 0:
        raise Refused("it is damaged or no checkpoint")
    name, extra = struct.unpack("<HH", header[26:30])
    return entry.header_offset + 30 + name + extra


def _whole(*numbers: Any) -> bool:
    return all(type(number) is int for number in numbers)


def _mapped(path: Path, place: int, dtype: torch.dtype, count: int) -> Tensor:
    """`count` numbers at `place`, memory-mapped."""
    if count == 0:
        return torch.empty(0, dtype=dtype)
    size = count * torch.empty(0, dtype=dtype).element_size()
    # Copy on write: nothing writes, but PyTorch warns of what cannot be written.
    mapped = np.memmap(path, dtype=np.uint8, mode="c", offset=place, shape=(size,))
    return torch.frombuffer(mapped, dtype=dtype)


def _old_torch_file(path: Path) -> dict[Any, Any]:
    """A file as before PyTorch 1.6, which torch.load must read, and all at once."""
    torch_file.check(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged or foreign file makes the reader raise nearly anything
        raise Refused("it is damaged or no checkpoint") from None
    if not isinstance(content, dict):
        raise Refused(f"it holds a {type(content).__name__}, no dictionary of tensors")
    return cast("dict[Any, Any]", _lazy(content))


def _lazy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return LazyTensor(tuple(value.shape), value.dtype, lambda: value)
    return {name: _lazy(inner) for name, inner in value.items()} if isinstance(value, dict) else value


class _Msgpack:
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
        if not _whole(*shape):
            raise Refused("an array in it is not of whole numbers")
        count = math.prod(shape)  # not NumPy's, which overflows
        if min(shape, default=0) < 0 or count * torch.empty(0, dtype=dtype).element_size() != len(place):
            raise Refused("an array in it is not as large as it says")
        return LazyTensor(
            tuple(shape), dtype, lambda: _mapped(self.path, place.start, dtype, count).view(shape).clone()
        )
