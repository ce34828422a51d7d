"""Writes a converted model as a folder, tensor by tensor, under a temporary name that is renamed at the end.

The tokenizer is small and is held in memory, once; the transformer may be large and is converted one tensor
at a time. A conversion that fails or is stopped leaves nothing at the target.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskmend.errors import ConfigError, ModelError, OutputError
from maskmend.importers.class_names import imagenet_names, notice
from maskmend.importers.costs import cost_line
from maskmend.models.token_model import TokenModel
from maskmend.models.transformer import MaskedTransformer
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.component import component_index
from maskmend.pretrained.folder import CARD, FORMAT, INDEX
from maskmend.pretrained.hashes import tokens_hash
from maskmend.progress import Progress
from maskmend.storage.files import json_bytes, write_files
from maskmend.storage.temporary import beside, remove_stale
from maskmend.storage.tensor_writing import Planned, write_tensors


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a checkpoint becomes, before it is written."""

    tokenizer: VQGAN
    model: TokenModel
    """On the meta device: names and shapes alone."""
    weights: Mapping[str, Callable[[], Tensor]]
    """What makes each of its tensors."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Default settings of a fill."""
    card: str = ""
    """The model card, Markdown."""
    labels: tuple[str, ...] = ()
    """Names of its classes, for a model that has them."""
    extra: Callable[[Path, torch.dtype], None] | None = None
    """Writes further files into the folder, before it gets its name, with weights in that format."""
    notes: tuple[str, ...] = ()
    """One line for each thing that the user should know."""


def class_conditional(
    files: tuple[Path | str, Path | str],
    tokenizer: VQGAN,
    model: TokenModel,
    weights: Mapping[str, Callable[[], Tensor]],
    *,
    defaults: Mapping[str, Any],
    card: str,
) -> Conversion:
    """The conversion of a network over ImageNet's classes.

    Args:
        files: the network's checkpoint and the tokenizer's, named in the card.
        tokenizer: see `Conversion`, as for the next three.
        model: likewise.
        weights: likewise.
        defaults: likewise.
        card: with placeholders for layers, dim, side (of the picture), grid, name and tokenizer (of the
            files).
    """
    config = model.config
    return Conversion(
        tokenizer=tokenizer,
        model=model,
        weights=weights,
        defaults=defaults,
        labels=imagenet_names(config.labels),
        card=card.format(
            layers=config.layers,
            dim=config.dim,
            side=tokenizer.config.resolution,
            grid=config.grid,
            name=Path(files[0]).name,
            tokenizer=Path(files[1]).name,
        ),
    )


def built_empty(model_class: Callable[[Any], TokenModel], config: Any) -> TokenModel:
    """A network without weights, for its names and shapes."""
    with torch.device("meta"):
        return model_class(config).eval()


def check_free(output: Path) -> None:
    """Raises ConfigError if a model cannot be written to `output` because something exists there."""
    if (output / INDEX).exists():
        raise ConfigError(f"{output} already holds a model: choose another folder, or remove it first")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"{output} is there and not empty: choose another folder for the model")


def write_conversion(
    made: Conversion, output: Path, *, half: bool = False, progress: Progress | None = None
) -> None:
    """Writes a model folder; `half` stores float16 weights.

    Raises ConfigError if `output` exists, ModelError if a tensor of the source cannot be used, OutputError if
    writing fails; then nothing is left at `output`.
    """
    check_free(output)
    dtype = torch.float16 if half else torch.float32
    tokenizer, planned = _planned_tokenizer(made.tokenizer, dtype), _planned(made, dtype)
    both = (*tokenizer.values(), *planned.values())
    total = sum(math.prod(one.shape) * dtype.itemsize for one in both)
    done = 0

    def on_bytes(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, total)

    remove_stale(output.parent)  # a conversion that was killed leaves as much as the model
    place = beside(output)
    try:
        (place / "transformer").mkdir(parents=True)
        (place / "tokenizer").mkdir()
        # Not `save_tokenizer`, which holds the file's content twice beside the weights.
        metadata = {"format": str(FORMAT), "kind": "tokenizer"}
        write_tensors(place / "tokenizer" / "weights.safetensors", tokenizer, metadata, on_bytes)
        architecture = made.model.architecture
        theirs = architecture != MaskedTransformer.architecture
        index = component_index(
            made.model.config, "transformer", tokens_hash(made.tokenizer), architecture if theirs else None
        )
        metadata = {"format": str(FORMAT), "kind": "transformer"}
        write_tensors(place / "transformer" / "weights.safetensors", planned, metadata, on_bytes)
        about: dict[str, Any] = {"format": FORMAT, "kind": "maskmend"}
        about |= {"components": ["tokenizer", "transformer"], "defaults": dict(made.defaults)}
        if made.labels:
            about["labels"] = list(made.labels)
        if made.extra is not None:
            made.extra(place, dtype)
        write_files(
            {
                place / "tokenizer" / "config.json": json_bytes(
                    component_index(made.tokenizer.config, "tokenizer")
                ),
                place / "transformer" / "config.json": json_bytes(index),
                place / CARD: _card(made).encode(),
                place / INDEX: json_bytes(about),
            }
        )
        place.replace(output)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {output} ({reason}): check the folder, its permissions and free space"
        ) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _card(made: Conversion) -> str:
    model = made.model
    card = made.card + cost_line(model.architecture, made.tokenizer.config.resolution, model.config.dim)
    return f"{card}\n## Names of the classes\n\n{notice()}" if made.labels else card


def _planned_tokenizer(tokenizer: VQGAN, dtype: torch.dtype) -> dict[str, Planned]:
    weights = tokenizer.state_dict()
    return {
        name: Planned(
            tuple(weights[name].shape), dtype, _fitting(name, partial(weights.__getitem__, name), dtype)
        )
        for name in sorted(weights)
    }


def _planned(made: Conversion, dtype: torch.dtype) -> dict[str, Planned]:
    wanted = made.model.state_dict()
    assert set(wanted) == set(made.weights), set(wanted) ^ set(made.weights)
    return {
        name: Planned(tuple(wanted[name].shape), dtype, _fitting(name, made.weights[name], dtype))
        for name in sorted(wanted)
    }


def _fitting(name: str, make: Callable[[], Tensor], dtype: torch.dtype) -> Callable[[], Tensor]:
    def made() -> Tensor:
        value = make()
        if dtype == torch.float16 and not bool(torch.isfinite(value.half()).all()):
            raise ModelError(f"{name} has numbers too large for float16: convert with --full")
        return value

    return made
