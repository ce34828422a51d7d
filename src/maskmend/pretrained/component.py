"""The components of a model folder: tokenizer and transformer, each with `config.json` and its weights.

Weights are memory-mapped: those in float32 are used in place, those in half precision are converted on
loading. (Building modules on the meta device would save their initialisation, but the first use of that
device loads more of PyTorch than any model of ours takes to initialise: 3 s against 0.1 s. Networks of other
projects, with hundreds of millions of weights, are built there.)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from maskmend.config import from_dict, nearest, to_dict
from maskmend.errors import ConfigError, ModelError
from maskmend.models.architectures import ARCHITECTURES
from maskmend.models.token_model import TokenModel
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.transformer import MaskedTransformer
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.hashes import tokens_hash
from maskmend.pretrained.json_files import check_index, read_json
from maskmend.pretrained.migrations import FORMAT, migrate_config, migrate_name
from maskmend.storage.files import json_bytes, write_files
from maskmend.storage.header_order import ordered

M = TypeVar("M", bound=nn.Module)


def save_component(
    module: nn.Module,
    config: Any,
    kind: str,
    folder: Path,
    dtype: torch.dtype | None = None,
    tokens: str | None = None,
    architecture: str | None = None,
) -> None:
    """Writes `weights.safetensors` and `config.json`, both or neither.

    `dtype` narrows floating-point weights (float16 for shipping); `tokens` is what `learnt_tokens` reads of a
    transformer, `architecture` names one that is not ours. Raises OutputError when writing fails.
    """
    weights = {}
    for name, value in module.state_dict().items():
        narrowed = value.to(dtype) if dtype is not None and value.is_floating_point() else value
        weights[name] = narrowed.detach().cpu().contiguous()
    about = component_index(config, kind, tokens, architecture)
    # Not `save_file`: its files are readable by their owner only, and it may leave a truncated one behind.
    content = ordered(save(weights, metadata={"kind": kind, "format": str(FORMAT)}))
    write_files({folder / "weights.safetensors": content, folder / "config.json": json_bytes(about)})


def component_index(
    config: Any, kind: str, tokens: str | None = None, architecture: str | None = None
) -> dict[str, Any]:
    """What `config.json` of a component says."""
    about = {"format": FORMAT, "kind": kind, "config": to_dict(config)}
    if architecture is not None:
        about["architecture"] = architecture
    if tokens is not None:
        about["tokens"] = tokens
    return about


def read_config(folder: Path, kind: str, config_class: type) -> Any:
    """The configuration of a component folder."""
    path = folder / "config.json"
    content = read_json(path)
    of_transformers = ["tokens", "architecture"] if kind == "transformer" else []
    check_index(content, kind, path, ["config", *of_transformers])
    if "config" not in content:
        raise ModelError(f'{path} has no "config": copy the model folder again')
    config = content["config"] if content["format"] == FORMAT else migrate_config(content["config"])
    try:
        return from_dict(config_class, config)
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from None


def load_weights(module: M, folder: Path) -> M:
    """Loads `weights.safetensors` into `module`, strictly, and sets it to eval mode. Names of format 1 are
    migrated where the folder's config.json says that it is of that format."""
    path = folder / "weights.safetensors"
    if not path.is_file():
        raise ModelError(f"no weights.safetensors in {folder}: the model folder is incomplete")
    wanted = module.state_dict()
    migrates = read_json(folder / "config.json").get("format") == 1
    try:
        with safe_open(path, framework="pt") as file:
            keys = {migrate_name(key) if migrates else key: key for key in file.keys()}  # noqa: SIM118
            found = set(keys)
            problems = [f"unknown {name}" for name in sorted(found - set(wanted))]
            problems += [f"missing {name}" for name in sorted(set(wanted) - found)]
            weights: dict[str, Tensor] = {}
            for name in sorted(found & set(wanted)):
                value = file.get_tensor(keys[name])
                if value.shape == wanted[name].shape:
                    weights[name] = _fitted(value, wanted[name])
                    continue
                have, want = tuple(value.shape), tuple(wanted[name].shape)
                problems.append(f"{name} has shape {have}, config.json says {want}")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot read {path}: {error}; copy the model folder again") from None
    if problems:
        shown = "; ".join(problems[:4]) + (f"; and {len(problems) - 4} more" if len(problems) > 4 else "")
        raise ModelError(
            f"{path} does not fit its config.json: {shown}; copy both files again from the same model folder"
        )
    module.load_state_dict(weights, assign=True)
    return module.eval().requires_grad_(False)


def _fitted(value: Tensor, wanted: Tensor) -> Tensor:
    """`value` in the format and layout of `wanted`: itself where it has them already."""
    if value.dtype == wanted.dtype and value.stride() == wanted.stride():
        return value
    return torch.empty_like(wanted, device="cpu").copy_(value)


def _built(module_class: Callable[[Any], M], config: Any) -> M:
    # The constructors of torch.nn draw from the global generator, whose state is restored.
    with torch.random.fork_rng(devices=[]):
        return module_class(config)


def save_tokenizer(model: VQGAN, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Writes a tokenizer folder."""
    save_component(model, model.config, "tokenizer", folder, dtype)


def load_tokenizer(folder: Path) -> VQGAN:
    """Reads a tokenizer folder."""
    return load_weights(_built(VQGAN, read_config(folder, "tokenizer", TokenizerConfig)), folder)


def save_transformer(
    model: TokenModel, folder: Path, dtype: torch.dtype | None = None, tokens: str | None = None
) -> None:
    """Writes a transformer folder; `tokens` is the `tokens_hash` of the tokenizer it was trained over."""
    ours = model.architecture == MaskedTransformer.architecture
    architecture = None if ours else model.architecture
    save_component(model, model.config, "transformer", folder, dtype, tokens, architecture)


def load_token_model(folder: Path) -> TokenModel:
    """Reads a transformer folder, of whichever architecture."""
    name = read_json(folder / "config.json").get("architecture", MaskedTransformer.architecture)
    if name not in ARCHITECTURES:
        raise ModelError(
            f"{folder / 'config.json'} has architecture {name!r}{nearest(str(name), ARCHITECTURES)}: "
            "upgrade maskmend, or give another model"
        )
    model, config_class = ARCHITECTURES[name]
    config = read_config(folder, "transformer", config_class)
    if model is MaskedTransformer:
        return load_weights(_built(model, config), folder)
    with torch.device("meta"):
        empty = model(config)
    return load_weights(empty, folder)


def load_transformer(folder: Path) -> MaskedTransformer:
    """Reads a folder of a transformer of ours, to train or to export it."""
    model = load_token_model(folder)
    if not isinstance(model, MaskedTransformer):
        raise ModelError(
            f"{folder} holds a network of architecture {model.architecture!r}, which fills holes but is not "
            "trained here: give a transformer that maskmend trained"
        )
    return model


def learnt_tokens(folder: Path) -> str | None:
    """The `tokens_hash` of the tokenizer that a folder's transformer was trained over, or None for older
    ones."""
    return read_json(folder / "config.json").get("tokens")


def check_tokens(tokenizer: VQGAN, transformer: Path, names: tuple[Path, Path]) -> None:
    """Raises ConfigError where the transformer in folder `transformer` is known to have been trained on other
    tokens than those of `tokenizer`: the same code means different things to the two. `names` are what the
    user calls the two."""
    learnt = learnt_tokens(transformer)
    if learnt is not None and learnt != tokens_hash(tokenizer):
        raise ConfigError(
            f"the transformer of {names[1]} was trained on the tokens of another tokenizer than {names[0]}: "
            "give the one it was trained over, or one whose decoder was fine-tuned from that"
        )
