"""The model folder: what is saved, shipped and loaded, strictly.

    model/
      model_index.json            format, kind, names of the components, default settings, and where it is
                                  known what the model learnt ("domain") and its classes ("labels")
      tokenizer/   config.json    weights.safetensors
      transformer/ config.json    weights.safetensors    (and in config.json "tokens", the `tokens_hash` of
                                                          its tokenizer, where that is known, and
                                                          "architecture", where it is another than ours)
      README.md                   the model card

Format 2 is written; format 1 is read too, through `migrations`. Nothing is unpickled. Unknown keys, missing
weights, wrong shapes and a newer format are errors that say what to do. `component` reads and writes the two
folders within, `lookup` finds a model by its name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from maskmend.errors import ModelError
from maskmend.models.token_model import TokenModel
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.component import (  # noqa: F401 - moved
    check_tokens,
    component_index,
    learnt_tokens,
    load_token_model,
    load_tokenizer,
    load_transformer,
    load_weights,
    read_config,
    save_component,
    save_tokenizer,
    save_transformer,
)
from maskmend.pretrained.hashes import model_hash, tokens_hash, weights_hash  # noqa: F401 - moved
from maskmend.pretrained.hub import CARD
from maskmend.pretrained.json_files import check_index, read_json, write_json
from maskmend.pretrained.lookup import component_folder, find_model  # noqa: F401 - moved
from maskmend.pretrained.migrations import FORMAT
from maskmend.storage.files import json_bytes, write_files

INDEX = "model_index.json"


def save_model(
    tokenizer: VQGAN,
    transformer: TokenModel,
    defaults: Mapping[str, Any],
    folder: Path,
    dtype: torch.dtype | None = None,
    card: str | None = None,
    domain: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
) -> None:
    """Writes a whole model folder; `model_index.json` comes last: without it a folder is unfinished."""
    save_tokenizer(tokenizer, folder / "tokenizer", dtype)
    # Marks the two as one model, for a later `pack` of its parts.
    save_transformer(transformer, folder / "transformer", dtype, tokens_hash(tokenizer))
    settings = {name: value for name, value in defaults.items() if value is not None}
    components = ["tokenizer", "transformer"]
    index = {"format": FORMAT, "kind": "maskmend", "components": components, "defaults": settings}
    if domain is not None:
        index["domain"] = dict(domain)
    if labels:
        index["labels"] = list(labels)
    about = {} if card is None else {folder / CARD: card.encode()}
    write_files(about | {folder / INDEX: json_bytes(index)})


def read_index(folder: Path) -> dict[str, Any]:
    """What `model_index.json` of a folder says. Raises ModelError where it is not that of a model."""
    path = folder / INDEX
    content = read_json(path)
    check_index(content, "maskmend", path, ["components", "defaults", "domain", "labels"])
    labels = content.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        raise ModelError(f'{path}: "labels" is {str(labels)[:60]}, expected a list of names')
    return content


def write_domain(folder: Path, domain: Mapping[str, Any]) -> None:
    """Writes the domain into a model folder's index; everything else there is unchanged."""
    write_json(folder / INDEX, read_index(folder) | {"domain": dict(domain)})


def read_card(folder: Path) -> str | None:
    """The model card of a folder, if it has one."""
    try:
        return (folder / CARD).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {folder / CARD}: {error}; copy the model folder again") from None


def load_model(folder: Path) -> tuple[VQGAN, TokenModel, dict[str, Any]]:
    """Tokenizer, transformer and default settings of a model folder. Raises ModelError."""
    defaults = read_index(folder).get("defaults", {})
    if not isinstance(defaults, dict):
        raise ModelError(f'{folder / INDEX}: "defaults" is {defaults!r}, expected an object')
    return load_tokenizer(folder / "tokenizer"), load_token_model(folder / "transformer"), defaults
