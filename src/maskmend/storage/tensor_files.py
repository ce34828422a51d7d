"""Tensors of a file by name, shape and format, known before any of them is read.

    safetensors                ─┐
    torch.save (torch_archive) ─┼─► names, shapes, formats ─► one tensor at a time
    flax's msgpack (msgpack)   ─┘

So a checkpoint of gigabytes can be checked before memory is allocated, and converted without loading it as a
whole. No code in a file is executed.
"""

import json
import math
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from maskmend.storage.lazy_tensor import LazyTensor, mapped
from maskmend.storage.msgpack import MsgpackFile
from maskmend.storage.torch_archive import read_old_torch_file, read_torch_archive
from maskmend.storage.torch_file import Refused

SAFE_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "BOOL": torch.bool,
}  # fmt: skip


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
        return read_torch_archive(path)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04"):
        return read_old_torch_file(path)
    if start[:1] and (0x80 <= start[0] <= 0x8F or start[0] in (0xDE, 0xDF)):
        return MsgpackFile(path).content()
    raise Refused("it is damaged or no checkpoint")


def _is_safetensors(start: bytes, size: int) -> bool:
    return len(start) > 8 and start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] <= size


def _safetensors(path: Path) -> dict[Any, Any]:
    """The library checks the file; each tensor is then mapped by itself, and unmapped once it is copied.

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
                mapped(path, place, dtype, count).view(shape).clone()
            ),
        )
    return found
