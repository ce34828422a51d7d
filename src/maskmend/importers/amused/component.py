"""One component of a diffusers folder: its config.json, and its safetensors file, opened but not yet read.

folder/config.json                                 sizes, class name
folder/diffusion_pytorch_model.safetensors         weights (of a text encoder: model.safetensors)
folder/diffusion_pytorch_model.fp16.safetensors    in half precision, used if the first does not exist
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from maskmend.config import nearest
from maskmend.errors import ModelError
from maskmend.importers.source import Source, read_source

WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.fp16.safetensors",
)
DOWNLOADED = (
    "*/config.json",
    "scheduler/*.json",
    "tokenizer/*.json",
    "tokenizer/merges.txt",
    "*/diffusion_pytorch_model.safetensors",
    "*/model.safetensors",
)
"""What is downloaded of a hub id: the full precision, once."""
NEEDED = ("transformer/config.json", "vqvae/config.json", "text_encoder/config.json")
"""Identifies a hub id as one of aMUSEd's before gigabytes are downloaded."""
WHOLE = "download the whole repository, with all its folders"
LARGEST = 1_000_000
"""Larger than any size in such a config."""


class Component(NamedTuple):
    """A folder's config and weights."""

    path: Path
    """Of the config, for messages."""
    config: dict[str, Any]
    source: Source

    def size(self, name: str, default: int | None = None) -> int:
        """A whole number of the config. Raises ModelError."""
        value = self.config.get(name, default)
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise ModelError(
                f"{self.path}: {name} is {value!r}, expected a whole number: take the published config.json"
            )
        return value

    def counted(self, name: str, default: int, pattern: str) -> int:
        """A number of layers, which the weights must have: it decides how many keys are expected.

        `pattern` is a regular expression whose group is a layer's number in a key. Raises ModelError.
        """
        size, found = self.size(name, default), self.source.count(pattern)
        if size != found:
            raise ModelError(
                f"{self.path}: {name} is {size}, {self.source.path} has {found}: take both from the "
                "same model"
            )
        return size

    def expect(self, fixed: Mapping[str, Any]) -> None:
        """Raises ModelError where a setting differs from the one that ours has."""
        for name, value in fixed.items():
            if self.config.get(name, value) != value:
                raise ModelError(
                    f"{self.path}: {name} is {self.config[name]!r}, and only {value!r} can be converted"
                )

    def allow(self, known: Iterable[str]) -> None:
        """Raises ModelError on a setting not among `known`: it may change what the weights mean."""
        known = tuple(known)
        for name in self.config:
            if not name.startswith("_") and name not in known:
                raise ModelError(
                    f"{self.path} has an unknown setting {name!r}{nearest(name, known)}: take the published "
                    "config.json, or a newer maskmend"
                )


def open_component(folder: Path, class_name: str, signature: str) -> Component:
    """Config and weights of a component.

    Args:
        folder: of the component.
        class_name: the class that the config must name.
        signature: a key that the weights must have.

    Raises ModelError.
    """
    path = folder / "config.json"
    config = read_object(path)
    named = config.get("_class_name") or next(iter(config.get("architectures") or ()), None)
    if named != class_name:
        raise ModelError(
            f"{path} describes {named!r}, expected {class_name!r}: give the folder of an aMUSEd model"
        )
    return Component(path, config, read_source(_weights(folder), signature, f"the weights of a {class_name}"))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object at `path`. Raises ModelError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"no {path}: {WHOLE}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}): download it again") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}, expected an object: download it again")
    return content


def _weights(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    if any(folder.glob("*.safetensors.index.json")):
        raise ModelError(
            f"{folder} holds its weights in several files: save them in one, with max_shard_size='10GB'"
        )
    if any(folder.glob("*.bin")):
        raise ModelError(f"{folder} holds pickled weights (.bin) alone: take its .safetensors file")
    raise ModelError(f"no {WEIGHTS[0]} in {folder}: {WHOLE}")
