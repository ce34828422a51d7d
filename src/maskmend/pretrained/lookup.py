"""Finds the folder of a model by a shipped name, a folder, or a hub id; and a component within a run or a
model."""

from pathlib import Path

from maskmend.assets import ASSETS, DEFAULT
from maskmend.errors import ModelError
from maskmend.pretrained.hub import fetch_model, is_hub_id


def find_model(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a model: a shipped one, `name` if it is a folder, or fetched from the hub
    ("owner/name"), there at `revision` (a branch, tag or commit).

    A shipped name always means the shipped model; ./default is a folder of that name.
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

    Raises ModelError if neither holds one, and names what is there instead.
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
        raise ModelError(f"the run {path} has exported no {kind} yet: train it up to its first validation")
    raise ModelError(f"no {kind} in {path}: is this the folder of a run or of a maskmend model?")
