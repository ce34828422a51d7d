"""The state dict in a checkpoint of the coursework, with a record of the keys that were used.

A file contains a bare state dict, one under a name such as `model` or `transformer_state_dict`, or that of a
larger model with a prefix before each key (`transformer.`, `vqgan.`, `module.`). One required key is used to
find the dict and the prefix. Keys that are not used are reported; only tensors are unpickled,
and a tensor is read when it is needed.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskmend.errors import ModelError
from maskmend.importers.source import NUMBERS
from maskmend.storage import torch_file
from maskmend.storage.lazy_tensor import LazyTensor
from maskmend.storage.tensor_files import open_tensors

WRAPPERS = ("model", "transformer_state_dict", "vqgan_state_dict", "model_state_dict", "state_dict")


class CourseworkState:
    """Tensors by key, with a record of which of them were used.

    Args:
        path: the file, for messages.
        prefix: of each key in the file, for messages.
        tensors: by key without the prefix.
        notes: one line for each part of the file that was left out.
    """

    def __init__(self, path: Path, prefix: str, tensors: dict[str, LazyTensor], notes: list[str]) -> None:
        self.path, self.prefix, self.tensors, self.notes = path, prefix, tensors, notes
        self._used: set[str] = set()

    def take(self, key: str) -> Tensor:
        """The tensor at `key` in float32, which counts as used. Raises ModelError."""
        if key not in self.tensors:
            raise ModelError(f"{self.path} has no {self.prefix}{key}: is it whole, and the right file?")
        dtype = self.tensors[key].dtype
        if dtype not in NUMBERS:
            raise ModelError(
                f"{self.path}: {self.prefix}{key} in {str(dtype).removeprefix('torch.')}, expected float32: "
                "give the weights as training saved them"
            )
        value = self.tensors[key].read().float()
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{self.path}: {self.prefix}{key} is not finite: give an earlier checkpoint")
        self._used.add(key)
        return value

    def note_unused(self) -> None:
        """Adds a note for each key that was not used."""
        for key in self.tensors:
            if key not in self._used:
                self.notes.append(f"{self.path}: {self.prefix}{key} is not used")

    def fitted(
        self, wanted: Mapping[str, Tensor], weights: Mapping[str, tuple[str, Tensor]]
    ) -> dict[str, Tensor]:
        """A tensor of its own for each of `wanted`, whose names and shapes count.

        `weights` has, by our name, the key in the file and the tensor. A bias that is missing beside its
        weight is zero. Raises ModelError when anything else is missing or a shape differs.
        """
        values: dict[str, Tensor] = {}
        for name, empty in wanted.items():
            weight = name.removesuffix("bias") + "weight"
            if name in weights:
                key, value = weights[name]
                if value.shape != empty.shape:
                    have, want = tuple(value.shape), tuple(empty.shape)
                    raise ModelError(
                        f"{self.path}: {self.prefix}{key} has shape {have}, expected {want} there"
                    )
                # A part of a larger tensor would keep all of it.
                whole = value.is_contiguous() and value.untyped_storage().nbytes() == value.nbytes
                values[name] = value if whole else value.clone(memory_format=torch.contiguous_format)
            elif name.endswith(".bias") and weight in weights:
                self.notes.append(
                    f"{self.path}: no bias beside {self.prefix}{weights[weight][0]}, taken as zero"
                )
                values[name] = torch.zeros(empty.shape)
            else:
                raise ModelError(f"{self.path} has no weights for our {name}: is the checkpoint whole?")
        return values


def read_state(path: Path, signature: str, what: str) -> CourseworkState:
    """The state dict in `path` that has a key ending with `signature`. Raises ModelError."""
    content = _load(path)
    found = {name: inner for name, inner in content.items() if isinstance(inner, dict)}
    ranked = sorted(found, key=lambda name: WRAPPERS.index(name) if name in WRAPPERS else len(WRAPPERS))
    for name, candidate in [("", content), *((name, found[name]) for name in ranked)]:
        prefixes = [
            key.removesuffix(signature)
            for key, value in candidate.items()
            if isinstance(key, str) and isinstance(value, LazyTensor) and re.search(_whole(signature), key)
        ]
        if prefixes:
            state = _unwrapped(path, candidate, min(prefixes, key=len))
            if name:
                others = [str(other) for other in content if other != name]
                state.notes[:0] = [f"{path}: {other!r} beside {name!r}, left out" for other in others]
            return state
    keys = [str(key) for key in content]
    shown = ", ".join(keys[:4]) + (", ..." if len(keys) > 4 else "")
    raise ModelError(
        f"{path} holds no {what} of the coursework: no key {signature} (found: {shown or 'none'}); "
        f"give the file with the {what}'s weights"
    )


def _whole(signature: str) -> str:
    return rf"(?:^|\.){re.escape(signature)}$"


def _unwrapped(path: Path, candidate: dict[Any, Any], prefix: str) -> CourseworkState:
    tensors: dict[str, LazyTensor] = {}
    notes: list[str] = []
    foreign: Counter[str] = Counter()
    for key, value in candidate.items():
        if not isinstance(key, str) or not isinstance(value, LazyTensor):
            notes.append(f"{path}: {key!r} is not used")
        elif key.startswith(prefix):
            tensors[key.removeprefix(prefix)] = value
        else:
            foreign[key.partition(".")[0]] += 1
    for name, count in foreign.items():
        notes.append(f"{path}: {count} keys under {name!r} are of another part, left out")
    return CourseworkState(path, prefix, tensors, notes)


def _load(path: Path) -> dict[Any, Any]:
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}: give a file that torch.save wrote")
    try:
        torch_file.check(path)  # strictly: a file of tensors alone
        return open_tensors(path)
    except torch_file.Refused as error:
        reason = str(error)
    except OSError as error:
        reason = error.strerror or str(error)
    raise ModelError(
        f"{path} is not loaded: {reason}; save it again with torch.save(model.state_dict(), PATH)"
    )
