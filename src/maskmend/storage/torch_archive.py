"""Files of torch.save: the zip archive, of which tensors are read one by one, and the file of before 1.6.

No code in a file is executed: classes in its pickle are looked up in the tables below only, its tensors
become references to their data, and everything else (training arguments, names of callbacks) becomes an inert
object. `torch_file` has checked the pickle before.
"""

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from maskmend.storage import torch_file
from maskmend.storage.lazy_tensor import LazyTensor, mapped, whole_numbers
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


class _Nothing:
    """Replaces an object that readers of weights do not need."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Storage(NamedTuple):
    key: str
    dtype: torch.dtype
    length: int


class _Archive(pickle.Unpickler):
    """Reads `data.pkl` of a file of torch.save that passed `torch_file.check`."""

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


def read_torch_archive(path: Path) -> dict[Any, Any]:
    """A file of torch.save, a zip archive since PyTorch 1.6. Raises Refused, OSError."""
    torch_file.check(path, INERT)
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        entries = {entry.filename: entry for entry in archive.infolist()}
        size = path.stat().st_size
        folder = next(iter(entries)).partition("/")[0] + "/"
        starts = {name: _start(file, entry) for name, entry in entries.items() if "/data/" in name}

        def tensor(
            storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
        ) -> LazyTensor:
            if not whole_numbers(offset, *shape, *stride):
                raise Refused("a tensor in it is not of whole numbers")
            last = offset + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
            empty = 0 in shape
            if min(offset, *stride, 0) < 0 or (not empty and last >= storage.length):
                raise Refused("a tensor in it leaves its storage")
            place = starts[f"{folder}data/{storage.key}"]
            if place + storage.length * storage.dtype.itemsize > size:
                raise Refused("a tensor in it leaves the file")

            def read() -> Tensor:
                values = mapped(path, place, storage.dtype, storage.length)
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


def read_old_torch_file(path: Path) -> dict[Any, Any]:
    """A file as before PyTorch 1.6, which torch.load must read, and all at once. Raises Refused."""
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
