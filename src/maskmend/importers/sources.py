"""Resolves the arguments of `maskmend convert`: files, folders, or hub ids.

From a hub id (extra `hub`) only the needed files are downloaded, resumably; the downloaded revision is
recorded in the model card.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskmend.errors import ConfigError, ModelError, pip_install

REFUSED = {
    "put": "its tokenizer reads patches and its transformer unquantised features, which ours do not have, "
    "and the licence of its weights is unclear",
    "lama": "it is no masked-token model: it predicts pixels in one pass",
    "mat": "it is no masked-token model: it predicts pixels in one pass",
    "stable-diffusion": "it is no masked-token model: it denoises latents",
    "muse": "its weights were never published; aMUSEd is the open model after it",
    "paella": "it denoises tokens that are replaced, not masked",
    "maskgit-pytorch": "several projects have that name: say maskgit for Google's files, or valeoai",
    "titok": "its tokens have no place in the picture, so that a hole has none",
}
"""Models that people ask for and that cannot be converted, and why."""


class Found(NamedTuple):
    """The files of a source."""

    files: tuple[Path, ...]
    revision: str | None
    """What was downloaded, "owner/name at COMMIT"; None of local files."""


def refuse(kind: str) -> None:
    """Raises ConfigError for a model that is known not to be convertible."""
    reason = REFUSED.get(kind.lower())
    if reason is not None:
        raise ConfigError(f"{kind} cannot be converted: {reason}")


def find_files(sources: Sequence[str], wanted: Sequence[Sequence[str]], kind: str) -> Found:
    """One file for each entry of `wanted`, which has the patterns that its name may match, in that order.

    `sources` are as many files; or one folder, or one hub id, that holds them. Raises ModelError,
    ConfigError.
    """
    paths = [Path(source) for source in sources]
    if len(paths) == len(wanted) and all(path.is_file() for path in paths):
        return Found(tuple(paths), None)
    if len(paths) == 1 and paths[0].is_dir():
        return Found(tuple(_one(paths[0], patterns, kind) for patterns in wanted), None)
    if len(paths) == 1 and _is_hub_id(sources[0]):
        folder, revision = _download(sources[0], [pattern for patterns in wanted for pattern in patterns])
        return Found(tuple(_one(folder, patterns, kind) for patterns in wanted), revision)
    for path in paths:
        if not path.exists():
            raise ModelError(f"no file or folder {path}: give what you downloaded of {kind}")
    names = " and ".join(patterns[0] for patterns in wanted)
    raise ConfigError(
        f"{len(paths)} sources for {kind}: give {len(wanted)} file{'s' * (len(wanted) > 1)} ({names}), "
        "or one folder that holds them"
    )


def find_folder(source: str, wanted: Sequence[str], kind: str) -> Found:
    """The folder of a model of several files: `source` itself, or the download of a hub id.

    `wanted` are patterns of the paths to download. Raises ModelError.
    """
    if Path(source).is_dir():
        return Found((Path(source),), None)
    if _is_hub_id(source):
        folder, revision = _download(source, wanted)
        return Found((folder,), revision)
    raise ModelError(f"no folder {source}: give the folder of {kind}, or its hub id")


def _one(folder: Path, patterns: Sequence[str], kind: str) -> Path:
    for pattern in patterns:
        found = sorted(path for path in folder.rglob(pattern) if path.is_file())
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found[:3])
            raise ConfigError(f"{folder} holds several files for {kind}: {names}: give the one to convert")
    raise ModelError(f"{folder} holds no {' or '.join(patterns)}: give the files of {kind}")


def _is_hub_id(source: str) -> bool:
    parts = source.split("/")
    return len(parts) == 2 and all(parts) and parts[0] not in (".", "..") and not Path(source).exists()


def _download(name: str, patterns: Sequence[str]) -> tuple[Path, str]:
    try:
        from huggingface_hub import HfApi, snapshot_download  # pyright: ignore[reportMissingImports]
        from huggingface_hub.utils import (  # pyright: ignore[reportMissingImports]
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError:
        raise ModelError(f"{name} looks like a hub id: {pip_install('hub')}, or give the files") from None
    try:
        commit = HfApi().model_info(name).sha
        folder = snapshot_download(name, revision=commit, allow_patterns=list(patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(f"cannot fetch {name} from the hub: {' '.join(str(error).split())}") from None
    return Path(folder), f"{name} at {commit}"
