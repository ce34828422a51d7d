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
weights, wrong shapes and a newer format are errors that say what to do. Weights are memory-mapped: those in
float32 are used in place, those in half precision are converted on loading. (Building modules on the meta
device would save their initialisation, but the first use of that device loads more of PyTorch than any model
of ours takes to initialise: 3 s against 0.1 s. Networks of other projects, with hundreds of millions of
weights, are built there.)
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from maskmend.assets import ASSETS, DEFAULT
from maskmend.config import from_dict, nearest, to_dict
from maskmend.errors import ConfigError, ModelError
from maskmend.files import json_bytes, write_files
from maskmend.models.architectures import ARCHITECTURES
from maskmend.models.token_model import TokenModel
from maskmend.models.transformer import MaskedTransformer
from maskmend.models.vqgan import VQGAN, TokenizerConfig
from maskmend.pretrained.hub import CARD, fetch_model, is_hub_id
from maskmend.pretrained.migrations import (
    FORMAT,
    config_in_format_1,
    migrate_config,
    migrate_name,
    name_in_format_1,
)
from maskmend.storage.header_order import ordered

INDEX = "model_index.json"
M = TypeVar("M", bound=nn.Module)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON to a temporary name, syncs and renames. Raises OutputError when that fails."""
    write_files({path: json_bytes(content)})


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object. Raises ModelError when it is missing or malformed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"no {path.name} in {path.parent}: is this a maskmend model folder?") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: of JSON, of UTF-8, of endless digits
        raise ModelError(f"cannot read {path}: {error}; copy the model folder again") from None
    if not isinstance(content, dict):
        found = type(content).__name__
        raise ModelError(f"{path} holds {found}, expected an object: is this a maskmend model folder?")
    return content


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


def check_index(content: dict[str, Any], kind: str, path: Path, keys: Iterable[str]) -> None:
    """Raises ModelError when `content` of `path` is of a newer format or another kind, or has unknown keys.

    `keys` are those beside "format" and "kind".
    """
    found = content.get("format")
    if type(found) is not int or found < 1:
        raise ModelError(
            f"{path} has format {found!r}, expected 1 to {FORMAT}: is this a maskmend model folder?"
        )
    if found > FORMAT:
        raise ModelError(f"{path} has format {found}, this version reads up to {FORMAT}: upgrade maskmend")
    if content.get("kind") != kind:
        found = content.get("kind")
        raise ModelError(f"{path} describes kind {found!r}, expected {kind!r}: give another folder")
    known = {"format", "kind", *keys}
    for key in content:
        if key not in known:
            raise ModelError(f"{path} has an unknown key {key!r}{nearest(key, known)}: remove it")


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


def tokens_hash(model: VQGAN) -> str:
    """SHA-256 over what decides a picture's tokens, in half precision, so that it outlives packing."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if not name.startswith("decoder"):
            digest.update(name.encode() + value.detach().cpu().half().numpy().tobytes())
    return digest.hexdigest()


def model_hash(*parts: VQGAN | TokenModel) -> str:
    """SHA-256 over configurations and weights, which together decide the pictures.

    The same for a model whichever format it was loaded from: hashed are the names of format 1.
    """
    settings = json.dumps([config_in_format_1(to_dict(part.config)) for part in parts], sort_keys=True)
    return hashlib.sha256(f"{settings} {weights_hash(*parts)}".encode()).hexdigest()


def weights_hash(*modules: nn.Module) -> str:
    """SHA-256 over the names (those of format 1) and values of all weights."""
    digest = hashlib.sha256()
    for module in modules:
        for name, value in module.state_dict().items():
            digest.update(name_in_format_1(name).encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


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
    """The `tokens_hash` of the tokenizer that a folder's transformer learnt, or None of older ones."""
    return read_json(folder / "config.json").get("tokens")


def check_tokens(tokenizer: VQGAN, transformer: Path, names: tuple[Path, Path]) -> None:
    """Raises ConfigError where the transformer in folder `transformer` is known to have learnt other tokens
    than those of `tokenizer`: what one calls an ear may be sky to the other. `names` are what the user calls
    the two."""
    learnt = learnt_tokens(transformer)
    if learnt is not None and learnt != tokens_hash(tokenizer):
        raise ConfigError(
            f"the transformer of {names[1]} learnt the tokens of another tokenizer than {names[0]}: "
            "give the one it was trained over, or one whose decoder was fine-tuned from that"
        )


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
    """Writes into a model folder's index what the model learnt; all else there stays as it is."""
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


def find_model(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a model: a shipped one, `name` if it is a folder, or fetched from the hub
    ("owner/name"), there at `revision` (a branch, tag or commit).

    A shipped name means the shipped model wherever it is said; ./default is a folder of that name.
    """
    names = sorted(index.parent.name for index in ASSETS.glob("*/model_index.json"))
    shipped, folder = name == "default" or str(name) in names, Path(name)
    if revision is not None and (shipped or folder.is_dir()):
        raise ModelError(f"model {name} is no hub repository: leave out revision = {revision!r}")
    if shipped:
        return ASSETS / (DEFAULT if name == "default" else str(name))
    if folder.is_dir():
        return folder
    if not is_hub_id(str(name)):
        raise ModelError(
            f"no model {str(name)!r}: give a model folder, a hub id such as owner/name, or one of: "
            + ", ".join(["default", *names])
        )
    return fetch_model(str(name), revision)


def component_folder(path: Path, kind: str) -> Path:
    """The folder of component `kind` within a run or model folder, or `path` itself.

    Raises ModelError where neither holds one, and names what is there instead.
    """
    for folder in (path / kind, path):
        if (folder / "config.json").is_file():
            return folder
    if path.is_file():
        raise ModelError(f"{path} is a file: give the folder of a run, of a model or of its {kind}")
    if not path.is_dir():
        raise ModelError(f"no folder {path}: check the path")
    other = "transformer" if kind == "tokenizer" else "tokenizer"
    if (path / other / "config.json").is_file():
        raise ModelError(f"{path} holds a {other}, no {kind}: give the folder of a {kind}")
    if (path / "metrics.jsonl").is_file():
        raise ModelError(f"the run {path} has handed over no {kind} yet: train it up to its first validation")
    raise ModelError(f"no {kind} in {path}: is this the folder of a run or of a maskmend model?")
