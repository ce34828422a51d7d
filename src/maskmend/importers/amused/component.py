"""One component of a diffusers folder: its config.json and its safetensors file, checked before it is read.

    folder/config.json                                   sizes, class name
    folder/diffusion_pytorch_model.safetensors           weights (of a text encoder: model.safetensors)
    folder/diffusion_pytorch_model.fp16.safetensors      the same in half precision, taken where the first is not

A safetensors file tells keys, shapes and formats in its header, and opening it compares them with its length.
So everything can be refused before a tensor takes memory.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maskmend.config import nearest
from maskmend.errors import ModelError

NAMES = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.fp16.safetensors",
)
FORMATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Number formats that weights may have."""


class Component(Mapping[str, Tensor]):
    """The weights of a component folder by key, each read when it is asked for.

    Args:
        folder: of the component.
        class_name: what its config.json must call itself.
    """

    def __init__(self, folder: Path, class_name: str) -> None:
        self.folder = folder
        self.config = read_config(folder / "config.json", class_name)
        self.path = _weights_path(folder)
        try:
            self._file = safe_open(self.path, framework="pt")
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{self.path} cannot be read ({error}): download it again") from None
        self._keys = frozenset(self._file.keys())

    def __getitem__(self, key: str) -> Tensor:
        """The tensor in the file's own format. Raises ModelError where it is not finite."""
        try:
            value = self._file.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{self.path}: cannot read {key} ({error}): download it again") from None
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{self.path}: {key} is not finite: download it again")
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._keys))

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def format_of(self, key: str) -> str:
        """The number format of a key: one of `FORMATS` once `check` has passed."""
        return self._file.get_slice(key).get_dtype()

    def check(self, wanted: Mapping[str, tuple[int, ...]], ignored: Iterable[str] = ()) -> None:
        """Compares keys, shapes and formats with what the config asks for. Raises ModelError, one line that
        names the first key in question.

        `ignored` keys may be there, and are not read.
        """
        leftover = self._keys - set(wanted) - set(ignored)
        missing = set(wanted) - self._keys
        if missing:
            key = min(missing)
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ModelError(
                f"{self.path} lacks {key}{more}, which {self.folder / 'config.json'} asks for: take both from the "
                "same model, or download them again"
            )
        if leftover:
            key = min(leftover)
            more = f" and {len(leftover) - 1} more" if len(leftover) > 1 else ""
            raise ModelError(
                f"{self.path} has {key}{more}, for which there is no place in "
                f"{self.config.get('_class_name', 'this model')}: is it another model's file?"
            )
        for key in sorted(wanted):
            found = self._file.get_slice(key)
            shape, dtype = tuple(found.get_shape()), found.get_dtype()
            if shape != wanted[key]:
                raise ModelError(
                    f"{self.path}: {key} has shape {shape}, {self.folder / 'config.json'} says {wanted[key]}: take "
                    "both from the same model"
                )
            if dtype not in FORMATS:
                raise ModelError(
                    f"{self.path}: {key} is in {dtype}, expected one of {', '.join(FORMATS)}: take the "
                    "published file, or save it again in float32"
                )


def read_config(path: Path, class_name: str) -> dict[str, Any]:
    """The JSON object at `path`. Raises ModelError where there is none, or of another class."""
    content = read_object(path)
    named = content.get("_class_name") or (content.get("architectures") or [None])[0]
    if named != class_name:
        raise ModelError(f"{path} describes {named!r}, expected {class_name!r}: is it another model?")
    return content


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object at `path`. Raises ModelError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"no {path}: download the whole repository, all its folders") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}): download it again") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}, expected an object: download it again")
    return content


def setting(config: Mapping[str, Any], path: Path, name: str, default: int) -> int:
    """A whole number of a config, from 1 to a million. Raises ModelError."""
    value = config.get(name, default)
    if type(value) is not int or not 1 <= value <= 1_000_000:
        raise ModelError(f"{path}: {name} is {value!r}, expected a whole number: take the published config.json")
    return value


def expect(config: Mapping[str, Any], path: Path, fixed: Mapping[str, Any]) -> None:
    """Raises ModelError where a setting that the config names is another than the one that ours has."""
    for name, value in fixed.items():
        if config.get(name, value) != value:
            raise ModelError(f"{path}: {name} is {config[name]!r}, and only {value!r} can be converted")


def known_settings(config: Mapping[str, Any], path: Path, known: Iterable[str]) -> None:
    """Raises ModelError on a setting that nobody knows here: it may change what the weights mean."""
    known = tuple(known)
    for name in config:
        if not name.startswith("_") and name not in known:
            raise ModelError(f"{path} has an unknown setting {name!r}{nearest(name, known)}: it may need a newer maskmend")


def _weights_path(folder: Path) -> Path:
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    if any(folder.glob("*.index.json")):
        raise ModelError(f"{folder} holds weights in several files: save it again in one (max_shard_size=\"10GB\")")
    if any(folder.glob("*.bin")):
        raise ModelError(f"{folder} holds pickled weights (.bin) only: take its .safetensors file")
    raise ModelError(f"no {NAMES[0]} in {folder}: download the whole repository, all its folders")
