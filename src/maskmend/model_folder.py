"""The model folder: what is saved, shipped and loaded, strictly.

    model/
      model_index.json            format, kind, names of the components
      tokenizer/   config.json    weights.safetensors
      transformer/ config.json    weights.safetensors
      README.md                   the model card

Nothing is unpickled. Unknown keys, missing weights, wrong shapes and a newer format are errors that say what to do.
Weights may be stored in half precision; they are widened to float32 on loading.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from maskmend.config import from_dict, to_dict
from maskmend.errors import ConfigError, ModelError
from maskmend.transformer import MaskedTransformer, TransformerConfig
from maskmend.vqgan import VQGAN, TokenizerConfig

FORMAT = 1
M = TypeVar("M", bound=nn.Module)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON to a temporary name, syncs and renames."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object. Raises ModelError when it is missing or malformed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"no {path.name} in {path.parent}: is this a maskmend model folder?") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"cannot read {path}: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds {type(content).__name__}, expected an object: is this a maskmend model folder?")
    return content


def save_component(module: nn.Module, config: Any, kind: str, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Writes `config.json` and `weights.safetensors`; `dtype` narrows floating-point weights (float16 for shipping)."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for name, value in module.state_dict().items():
        narrowed = value.to(dtype) if dtype is not None and value.is_floating_point() else value
        weights[name] = narrowed.detach().cpu().contiguous()
    temporary = folder / f".weights.{os.getpid()}"
    save_file(weights, temporary, metadata={"kind": kind, "format": str(FORMAT)})
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(folder / "weights.safetensors")
    write_json(folder / "config.json", {"format": FORMAT, "kind": kind, "config": to_dict(config)})


def check_index(content: dict[str, Any], kind: str, path: Path) -> None:
    """Raises ModelError when `content` of `path` is of a newer format or another kind."""
    found = content.get("format")
    if not isinstance(found, int) or found > FORMAT:
        raise ModelError(f"{path} has format {found!r}, this version reads up to {FORMAT}: upgrade maskmend")
    if content.get("kind") != kind:
        raise ModelError(f"{path} describes kind {content.get('kind')!r}, expected {kind!r}: give another folder")


def read_config(folder: Path, kind: str, config_class: type) -> Any:
    """The configuration of a component folder."""
    path = folder / "config.json"
    content = read_json(path)
    check_index(content, kind, path)
    try:
        return from_dict(config_class, content.get("config", {}))
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from None


def load_weights(module: M, folder: Path) -> M:
    """Fills `module` from `weights.safetensors`, strictly, and sets it to eval mode."""
    path = folder / "weights.safetensors"
    if not path.is_file():
        raise ModelError(f"no weights.safetensors in {folder}: the model folder is incomplete")
    wanted = module.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            found = set(file.keys())
            problems = [f"unknown {name}" for name in sorted(found - set(wanted))]
            problems += [f"missing {name}" for name in sorted(set(wanted) - found)]
            weights: dict[str, Tensor] = {}
            for name in sorted(found & set(wanted)):
                weights[name] = file.get_tensor(name)
                if weights[name].shape != wanted[name].shape:
                    have, want = tuple(weights[name].shape), tuple(wanted[name].shape)
                    problems.append(f"{name} has shape {have}, config.json says {want}")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot read {path}: {error}; copy the model folder again") from None
    if problems:
        shown = "; ".join(problems[:4]) + (f"; and {len(problems) - 4} more" if len(problems) > 4 else "")
        raise ModelError(f"{path} does not fit its config.json: {shown}")
    module.load_state_dict(weights)
    return module.eval().requires_grad_(False)


def save_tokenizer(model: VQGAN, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Writes a tokenizer folder."""
    save_component(model, model.config, "tokenizer", folder, dtype)


def load_tokenizer(folder: Path) -> VQGAN:
    """Reads a tokenizer folder."""
    return load_weights(VQGAN(read_config(folder, "tokenizer", TokenizerConfig)), folder)


def save_transformer(model: MaskedTransformer, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Writes a transformer folder."""
    save_component(model, model.config, "transformer", folder, dtype)


def load_transformer(folder: Path) -> MaskedTransformer:
    """Reads a transformer folder."""
    return load_weights(MaskedTransformer(read_config(folder, "transformer", TransformerConfig)), folder)
