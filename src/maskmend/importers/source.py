"""A checkpoint of another project as named tensors, checked before they are read.

    file ─► state dict, prefixes stripped ─► check (names, shapes, formats) ─► take

As everything is checked before the first tensor is read, the file of another model takes neither memory nor
time.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskmend.errors import ModelError
from maskmend.storage.lazy_tensor import LazyTensor
from maskmend.storage.tensor_files import open_tensors
from maskmend.storage.torch_file import Refused

WRAPPERS = ("_orig_mod.", "module.")
"""Prefixes of weight names added by torch.compile and DistributedDataParallel."""
NUMBERS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
SHOWN = 3


class Source:
    """Tensors of one file by name.

    Args:
        path: the file, for messages.
        tensors: by name, prefixes stripped.
        prefix: what stood before the names, for messages.
        names: for tensors with other names here, their names in the file, for messages.
    """

    def __init__(
        self,
        path: Path,
        tensors: Mapping[str, LazyTensor],
        prefix: str = "",
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.path, self.tensors, self.prefix, self.names = path, dict(tensors), prefix, names or {}

    def shown(self, name: str) -> str:
        """What the file calls a tensor."""
        return self.prefix + self.names.get(name, name)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Raises ModelError where the file has no such tensor."""
        if name not in self.tensors:
            raise ModelError(f"{self.path} has no {self.shown(name)}: is it whole, and the right file?")
        return self.tensors[name].shape

    def count(self, pattern: str) -> int:
        """One more than the largest number that `pattern`, a regular expression with one group, finds."""
        found = [re.match(pattern, name) for name in self.tensors]
        return max((int(match[1]) + 1 for match in found if match), default=0)

    def part(self, prefix: str) -> "Source":
        """The tensors whose names begin with `prefix`, without it."""
        inside = {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}
        return Source(self.path, inside, self.prefix + prefix)

    def without(self, *patterns: str) -> "Source":
        """All but the tensors whose names match one of the regular expressions: what only training needs."""
        kept = {n: t for n, t in self.tensors.items() if not any(re.match(p, n) for p in patterns)}
        return Source(self.path, kept, self.prefix, self.names)

    def check(self, expected: Mapping[str, tuple[int, ...]], what: str) -> None:
        """Raises ModelError unless the file has exactly the `expected` tensors, all of floating-point
        numbers.

        `what` describes the file in messages: "a MAGE checkpoint".
        """
        problems = [f"no {self.shown(name)}" for name in expected if name not in self.tensors]
        for name, tensor in self.tensors.items():
            shown = self.shown(name)
            if name not in expected:
                problems.append(f"an unknown {shown}")
            elif tensor.shape != tuple(expected[name]):
                problems.append(f"{shown} of shape {tensor.shape}, expected {tuple(expected[name])}")
            elif tensor.dtype not in NUMBERS:
                problems.append(f"{shown} in {str(tensor.dtype).removeprefix('torch.')}, expected float32")
        if problems:
            more = f" and {len(problems) - SHOWN} more such" if len(problems) > SHOWN else ""
            raise ModelError(
                f"{self.path} is not {what} that can be read: it has {'; '.join(problems[:SHOWN])}{more}; "
                "give the published file of that model"
            )

    def take(self, name: str) -> Tensor:
        """A tensor in float32. Raises ModelError where it is missing or not finite."""
        self.shape(name)
        value = self.tensors[name].read().float()
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{self.path}: {self.shown(name)} is not finite: give another copy of the file")
        return value

    def third(self, name: str, number: int) -> Tensor:
        """Query (0), key (1) or value (2) of a tensor whose rows hold all three, one behind the other."""
        return torch.chunk(self.take(name), 3)[number]


def read_source(path: Path, signature: str, what: str) -> Source:
    """The tensors of the dictionary in `path` that has `signature` among its names.

    The dictionary may be the file itself or be in it under any name; its names may have prefixes of wrappers.
    Raises ModelError, which names what the file has instead.
    """
    if not path.is_file():
        raise ModelError(f"no file {path}: give {what}")
    try:
        content = open_tensors(path)
    except Refused as error:
        raise ModelError(f"{path} is not loaded: {error}; give {what}") from None
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror or error}): give {what}") from None
    for state in _dictionaries(content):
        tensors = {_plain(name): value for name, value in state.items() if isinstance(value, LazyTensor)}
        if signature in tensors:
            return Source(path, tensors)
    names = [str(name) for name in content]
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    raise ModelError(
        f"{path} is not {what}: it has no {signature} (it has {shown or 'nothing'}); give the published file"
    )


def _plain(name: Any) -> str:
    plain = str(name)
    for _ in WRAPPERS:
        for wrapper in WRAPPERS:
            plain = plain.removeprefix(wrapper)
    return plain


def _dictionaries(content: dict[Any, Any], depth: int = 0) -> Iterable[dict[Any, Any]]:
    """The dictionary and those within it, from outside in; nested names are also joined, as in flax."""
    yield content
    if depth < 3:
        for value in content.values():
            if isinstance(value, dict):
                yield from _dictionaries(value, depth + 1)
    if depth == 0 and any(isinstance(value, dict) for value in content.values()):
        yield dict(_joined(content))


def _joined(tree: dict[Any, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _joined(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value
