"""Writes a safetensors file tensor by tensor, for weights that do not fit in memory."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from maskmend.progress import Count

NAMES = {torch.float32: "F32", torch.float16: "F16"}


class Planned(NamedTuple):
    """A tensor to be written: its shape and format, and the function that makes it."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]


def write_tensors(
    path: Path,
    tensors: Mapping[str, Planned],
    metadata: Mapping[str, str],
    progress: Count | None = None,
) -> None:
    """Writes float32 and float16 tensors in the order given; `progress` is called with the number of
    bytes of each.

    Raises OSError.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name, planned in tensors.items():
        start, size = end, torch.empty(0, dtype=planned.dtype).element_size()
        for side in planned.shape:
            size *= side
        end = start + size
        header[name] = {
            "dtype": NAMES[planned.dtype], "shape": list(planned.shape), "data_offsets": [start, end]
        }  # fmt: skip
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("xb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for name, planned in tensors.items():
            value = planned.make().to(planned.dtype).contiguous()
            assert tuple(value.shape) == tuple(planned.shape), (name, value.shape, planned.shape)
            content = value.numpy().tobytes()
            file.write(content)
            if progress is not None:
                progress(len(content))
        file.flush()
        os.fsync(file.fileno())
