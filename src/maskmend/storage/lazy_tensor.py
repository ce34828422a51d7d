"""A tensor whose shape and format are known before it is read from its file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class LazyTensor(NamedTuple):
    """A tensor of a file that has not been read."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]


def whole_numbers(*numbers: Any) -> bool:
    return all(type(number) is int for number in numbers)


def mapped(path: Path, place: int, dtype: torch.dtype, count: int) -> Tensor:
    """`count` numbers at `place`, memory-mapped."""
    if count == 0:
        return torch.empty(0, dtype=dtype)
    size = count * torch.empty(0, dtype=dtype).element_size()
    # Copy on write: nothing writes, but PyTorch warns of what cannot be written.
    mapped = np.memmap(path, dtype=np.uint8, mode="c", offset=place, shape=(size,))
    return torch.frombuffer(mapped, dtype=dtype)
