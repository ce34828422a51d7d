"""Resolves the arguments of `maskmend convert`: files, folders, or hub ids.

From a hub id (extra `hub`) only the needed files are downloaded, resumably; the downloaded revision is
recorded in the model card.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from maskmend.errors import ConfigError, ModelError
from maskmend.importers.hub_files import fetch_files, list_files
from maskmend.pretrained.hub import is_hub_id
from maskmend.progress import Progress

REFUSED = {
    "put": "its tokenizer reads patches and its transformer unquantised features, which ours do not have, "
    "and the licence of its weights is unclear",
    "lama": "it is no masked-token model: it predicts pixels in one pass",
    "mat": "it is no masked-token model: it predicts pixels in one pass",
    "stable-diffusion": "it is no masked-token model: it denoises latents",
    "muse": "its weights were never published; aMUSEd is the open model after it",
    "paella": "it denoises tokens that are replaced, not masked",
    "maskgit-pytorch": "several projects have that name: use maskgit for Google's files, or valeoai",
    "titok": "its tokens have no position in the picture, so a hole cannot be masked",
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


def find_files(
    sources: Sequence[str],
    wanted: Sequence[Sequence[str]],
    kind: str,
    *,
    revision: str | None = None,
    progress: Progress | None = None,
) -> Found:
    """One file for each entry of `wanted`, which has the patterns that its name may match, in that order.

    `sources` are as many files; or one folder, or one hub id, that holds them, the latter at `revision` (a
    branch, tag or commit). `progress` is called with the bytes that are downloaded.

    Raises ModelError, ConfigError.
    """
    paths = [Path(source) for source in sources]
    if len(paths) == len(wanted) and all(path.is_file() for path in paths):
        _check_revision(revision, sources)
        return Found(tuple(paths), None)
    if len(paths) == 1 and paths[0].is_dir():
        _check_revision(revision, sources)
        inside = sorted(path for path in paths[0].rglob("*") if path.is_file())
        names = [path.relative_to(paths[0]).as_posix() for path in inside]
        picked = [_one(str(paths[0]), names, patterns, kind) for patterns in wanted]
        return Found(tuple(paths[0] / name for name in picked), None)
    if len(paths) == 1 and _is_hub_id(sources[0]):
        listing = list_files(sources[0], revision)
        picked = [_one(listing.revision, list(listing.files), patterns, kind) for patterns in wanted]
        folder = fetch_files(listing, picked, progress)
        return Found(tuple(folder / name for name in picked), listing.revision)
    for path in paths:
        if not path.exists():
            raise ModelError(f"no file or folder {path}: give what you downloaded of {kind}")
    names = " and ".join(patterns[0] for patterns in wanted)
    raise ConfigError(
        f"{len(paths)} sources for {kind}: give {len(wanted)} file{'s' * (len(wanted) > 1)} ({names}), "
        "or one folder that holds them"
    )


def find_folder(
    source: str,
    wanted: Sequence[str],
    kind: str,
    *,
    needed: Sequence[str] = (),
    revision: str | None = None,
    progress: Progress | None = None,
) -> Found:
    """The folder of a model of several files: `source` itself, or the download of a hub id.

    `wanted` are patterns of the paths to download, `needed` those that must exist; revision
    and progress as for `find_files`. Raises ModelError.
    """
    if Path(source).is_dir():
        _check_revision(revision, [source])
        return Found((Path(source),), None)
    if _is_hub_id(source):
        listing = list_files(source, revision)
        for name in needed:
            if name not in listing.files:
                raise ModelError(f"{listing.revision} has no {name}: give the hub id of {kind}")
        names = [name for name in listing.files if any(fnmatchcase(name, pattern) for pattern in wanted)]
        return Found((fetch_files(listing, names, progress),), listing.revision)
    raise ModelError(f"no folder {source}: give the folder of {kind}, or its hub id")


def _one(where: str, names: Sequence[str], patterns: Sequence[str], kind: str) -> str:
    """The one of `names`, paths within `where`, whose last part matches."""
    for pattern in patterns:
        found = [name for name in names if fnmatchcase(PurePosixPath(name).name, pattern)]
        if len(found) == 1:
            return found[0]
        if found:
            shown = ", ".join(PurePosixPath(name).name for name in found[:3])
            raise ConfigError(f"{where} holds several files for {kind}: {shown}: give the one to convert")
    raise ModelError(f"{where} holds no {' or '.join(patterns)}: give the files of {kind}")


def _check_revision(revision: str | None, sources: Sequence[str]) -> None:
    if revision is not None:
        raise ConfigError(
            f"revision = {revision!r} is of a hub id, and {', '.join(sources)} is here: leave it out"
        )


def _is_hub_id(source: str) -> bool:
    return is_hub_id(source) and not Path(source).exists()
