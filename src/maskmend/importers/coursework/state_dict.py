"""The state dict in a checkpoint of the published experiment, with a record of the keys that were used.

A file contains a bare state dict, one under a name such as `model` or `transformer_state_dict`, or that of a
larger model with a prefix before each key (`transformer.`, `vqgan.`, `module.`). One required key is used to
find the dict and the prefix. Keys that are not used are reported; only tensors are unpickled.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from maskmend.errors import ModelError
from maskmend.storage import torch_file

WRAPPERS = ("model", "transformer_state_dict", "vqgan_state_dict", "model_state_dict", "state_dict")
M = TypeVar("M", bound=nn.Module)


class CourseworkState:
    """Tensors by key, with a record of which of them were used.

    Args:
        path: the file, for messages.
        prefix: of each key in the file, for messages.
        tensors: by key without the prefix.
        notes: one line for each part of the file that was left out.
    """

    def __init__(self, path: Path, prefix: str, tensors: dict[str, Tensor], notes: list[str]) -> None:
        self.path, self.prefix, self.tensors, self.notes = path, prefix, tensors, notes
        self._used: set[str] = set()

    def take(self, key: str) -> Tensor:
        """The tensor at `key` in float32, which counts as used. Raises ModelError."""
        if key not in self.tensors:
            raise ModelError(f"{self.path} has no {self.prefix}{key}: is it whole, and the right file?")
        value = self.tensors[key].detach().float()
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{self.path}: {self.prefix}{key} is not finite: give an earlier checkpoint")
        self._used.add(key)
        return value

    def note_unused(self) -> None:
        """Adds a note for each key that was not used."""
        for key in self.tensors:
            if key not in self._used:
                self.notes.append(f"{self.path}: {self.prefix}{key} is not used")

    def fill(self, module: M, weights: dict[str, tuple[str, Tensor]]) -> M:
        """`module` in eval mode with `weights`: by our name, the key in the file and the tensor.

        A bias that is missing beside its weight is zero. Raises ModelError when
        anything else is missing or a shape differs.
        """
        wanted = module.state_dict()
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
                values[name] = value
            elif name.endswith(".bias") and weight in weights:
                self.notes.append(
                    f"{self.path}: no bias beside {self.prefix}{weights[weight][0]}, taken as zero"
                )
                values[name] = torch.zeros_like(empty)
            else:
                raise ModelError(f"{self.path} has no weights for our {name}: is the checkpoint whole?")
        module.load_state_dict(values)
        return module.eval().requires_grad_(False)


def read_state(path: Path, signature: str, what: str) -> CourseworkState:
    """The state dict in `path` that has a key ending with `signature`. Raises ModelError."""
    content = _load(path)
    found = {name: inner for name, inner in content.items() if isinstance(inner, dict)}
    ranked = sorted(found, key=lambda name: WRAPPERS.index(name) if name in WRAPPERS else len(WRAPPERS))
    for name, candidate in [("", content), *((name, found[name]) for name in ranked)]:
        prefixes = [
            key.removesuffix(signature)
            for key, value in candidate.items()
            if isinstance(key, str) and isinstance(value, Tensor) and re.search(_whole(signature), key)
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
        f"{path} holds no {what} of the published experiment: no key {signature} (found: {shown or 'none'})"
    )


def _whole(signature: str) -> str:
    return rf"(?:^|\.){re.escape(signature)}$"


def _unwrapped(path: Path, candidate: dict[Any, Any], prefix: str) -> CourseworkState:
    tensors: dict[str, Tensor] = {}
    notes: list[str] = []
    foreign: Counter[str] = Counter()
    for key, value in candidate.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
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
        torch_file.check(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except torch_file.Refused as error:
        raise ModelError(
            f"{path} is not loaded: {error}; save it again with torch.save(model.state_dict(), PATH)"
        ) from None
    except Exception as error:  # a damaged or foreign file makes the reader raise nearly anything
        # Without the advice of PyTorch's message, which is to load the file unsafely.
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it asks for {asked[1]}" if asked else "it is damaged or no checkpoint"
        raise ModelError(
            f"{path} is not loaded: {reason}; save it again with torch.save(model.state_dict(), PATH)"
        ) from None
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ModelError(
            f"{path} holds a {kind}, expected a state dict: torch.save(model.state_dict(), PATH)"
        )
    return content
