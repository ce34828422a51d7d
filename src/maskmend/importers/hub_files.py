"""Resumable downloads from a hub repository.

    list_files ─► commit, names, sizes, hashes ─► fetch_files ─► folder with these files

Recent releases of huggingface_hub discard a partial file when its download is interrupted, and checkpoints
are single files of several gigabytes. We therefore download into that library's own cache, at the documented
path (blobs/HASH), and compare size and hash with the hub's list. The library then finds the files there.
"""

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskmend.errors import ModelError
from maskmend.pretrained.hub import hub_client, hub_errors, one_line
from maskmend.progress import Progress

CHUNK = 2**20
WEEK = 7 * 24 * 3600.0
_PARTIAL = ".maskmend.incomplete"
"""Suffix of a partial file, which holds what was downloaded so far."""


class HubFile(NamedTuple):
    """A file as the hub lists it."""

    size: int
    digest: str
    """SHA-256 of the content of a large (LFS) file, otherwise its Git blob hash (SHA-1)."""

    def hasher(self) -> Any:
        """A hash object whose result for the content is `digest`."""
        if len(self.digest) == 64:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)


class Listing(NamedTuple):
    """What a repository holds at a commit."""

    name: str
    commit: str
    files: dict[str, HubFile]

    @property
    def revision(self) -> str:
        """For the model card."""
        return f"{self.name} at {self.commit}"


def list_files(name: str, revision: str | None = None) -> Listing:
    """The files of "owner/name" at a branch, tag or commit; None is the main branch. Raises ModelError."""
    hub = hub_client(name)
    try:
        about = hub.HfApi().model_info(name, revision=revision, files_metadata=True)
    except hub_errors() as error:
        where = name if revision is None else f"{name} at {revision}"
        raise ModelError(f"cannot fetch {where} from the hub: {one_line(error)}") from None
    files = {}
    for one in about.siblings or ():
        digest = one.blob_id if one.lfs is None else one.lfs["sha256"]
        if one.size is not None and digest is not None:
            files[one.rfilename] = HubFile(one.size, digest)
    return Listing(name, about.sha, files)


def fetch_files(listing: Listing, names: Sequence[str], progress: Progress | None = None) -> Path:
    """Downloads the files `names` unless they are cached, and returns their folder.

    Raises ModelError. Partial files are kept, so the next call resumes. Those of the same repository that
    were not resumed for a week are removed.
    """
    hub = hub_client(listing.name)
    # Part of an extra, which pyright may not find.
    from huggingface_hub.constants import HF_HUB_CACHE  # pyright: ignore[reportMissingImports]
    from huggingface_hub.file_download import repo_folder_name  # pyright: ignore[reportMissingImports]

    blobs = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=listing.name, repo_type="model") / "blobs"
    _remove_abandoned(blobs)
    total, done = sum(listing.files[name].size for name in names), 0

    def on_bytes(had: int) -> None:
        if progress is not None:
            progress(done + had, total)

    with _quiet():
        for name in names:
            file = listing.files[name]
            cached = hub.try_to_load_from_cache(listing.name, name, revision=listing.commit)
            if not isinstance(cached, str) and not (blobs / file.digest).exists():
                _fetch(listing, name, blobs / file.digest, on_bytes)
            done += file.size
            on_bytes(0)
        try:
            folder = hub.snapshot_download(listing.name, revision=listing.commit, allow_patterns=list(names))
        except hub_errors() as error:
            raise _broken(listing, "the files", error) from None
    return Path(folder)


def _remove_abandoned(blobs: Path) -> None:
    for part in blobs.glob(f"*{_PARTIAL}"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > WEEK:
                part.unlink()


def _fetch(listing: Listing, name: str, target: Path, on_bytes: Any) -> None:
    from huggingface_hub import hf_hub_url  # pyright: ignore[reportMissingImports]
    from huggingface_hub.file_download import http_get  # pyright: ignore[reportMissingImports]
    from huggingface_hub.utils import build_hf_headers  # pyright: ignore[reportMissingImports]

    file = listing.files[name]
    part = target.with_name(target.name + _PARTIAL)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as opened:
            if opened.tell() < file.size:
                url = hf_hub_url(listing.name, name, revision=listing.commit)
                # Without compression, so that offsets refer to the file itself.
                headers = build_hf_headers() | {"Accept-Encoding": "identity"}
                counted: Any = _Counted(opened, on_bytes)
                http_get(url, counted, resume_size=opened.tell(), headers=headers)
    except hub_errors() as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 416:  # the partial file is too long
            part.unlink(missing_ok=True)
        raise _broken(listing, name, error) from None
    # Two processes that fetch one file at a time would mix its bytes: that, too, is found here.
    wrong = _difference(part, file)
    if wrong is not None:
        part.unlink(missing_ok=True)
        raise ModelError(
            f"{name} of {listing.revision} was downloaded and is not what the hub lists ({wrong}): it is "
            "removed, run the same again"
        )
    part.replace(target)


def _broken(listing: Listing, what: str, error: Exception) -> ModelError:
    return ModelError(
        f"cannot fetch {what} of {listing.revision} from the hub: {one_line(error)}; run the same again, and "
        "it continues where it stopped"
    )


def _difference(path: Path, file: HubFile) -> str | None:
    size = path.stat().st_size
    if size != file.size:
        return f"{size} bytes instead of {file.size}"
    digest = file.hasher()
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    return None if digest.hexdigest() == file.digest else "another hash"


class _Counted:
    """A file that reports how much has been written to it."""

    def __init__(self, file: Any, on_bytes: Any) -> None:
        self._file, self._on_bytes = file, on_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: bytes) -> int:
        written = self._file.write(content)
        self._on_bytes(self._file.tell())
        return written


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's bars and warnings: the caller reports the progress, and the error at the end."""
    from huggingface_hub.utils import (  # pyright: ignore[reportMissingImports]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown, logger = not are_progress_bars_disabled(), logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    if shown:
        disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if shown:
            enable_progress_bars()
