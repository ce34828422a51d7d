"""Files of a repository on the Hugging Face Hub (`hf://`), where every change is a commit.

A commit has all of its files or none. It names no parent: writers only touch files of their own, so commits
of several writers may come in any order. The Hub refuses commits that meet another one, and those of an
account that made too many within the hour; both are sent again later, which changes nothing if the first
one did arrive.
"""

import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LATER = (408, 409, 412, 429, 500, 502, 503, 504)
"""Statuses after which a commit is sent again."""
PATIENCE = 2 * 3600.0
"""Seconds for which attempts are repeated. The Hub limits commits by the hour."""
LONGEST = 300.0
"""Seconds between two attempts at most, unless the Hub asks for more."""
ASKED_FOR = 500
"""Names in one request."""
OWN = (".gitattributes", "README.md")
"""Files that a new repository has."""

_log = logging.getLogger(__name__)


def is_repository(place: str) -> bool:
    """Whether the URL is of a repository; the Hub's buckets have no commits."""
    return place.startswith("hf://") and not place.startswith("hf://buckets/")


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A folder of a repository's branch."""

    api: Any
    name: str
    kind: str
    revision: str
    folder: str

    def commit(self, files: Mapping[str, bytes], removed: Sequence[str] = ()) -> None:
        """One commit that writes `files` and removes those `removed` that exist. Raises what huggingface_hub
        does."""
        # An extra: where it is not installed, pyright cannot see it either.
        from huggingface_hub import (  # pyright: ignore[reportMissingImports]
            CommitOperationAdd,
            CommitOperationDelete,
        )
        from huggingface_hub.utils import HfHubHTTPError  # pyright: ignore[reportMissingImports]

        gone = sorted(self.existing(removed) - files.keys())
        if not files and not gone:
            return
        until, wait = time.monotonic() + PATIENCE, 1.0
        while True:
            # Made anew for every attempt: those of a commit that was sent cannot be used again.
            added = [
                CommitOperationAdd(path_in_repo=self._path(name), path_or_fileobj=content)
                for name, content in files.items()
            ]
            deleted = [CommitOperationDelete(path_in_repo=self._path(name)) for name in gone]
            try:
                self.api.create_commit(
                    self.name,
                    [*added, *deleted],
                    commit_message=_message(list(files), gone),
                    repo_type=self.kind,
                    revision=self.revision,
                )
            except HfHubHTTPError as error:
                pause = _pause(error, wait)
                if pause is None or time.monotonic() + pause > until:
                    raise
                if pause > 60.0:
                    _log.warning("%s: %s; next attempt in %.0f s", self.name, reason(error), pause)
                time.sleep(pause)
                wait = min(2 * wait, LONGEST)
            else:
                return

    def existing(self, names: Iterable[str]) -> set[str]:
        """Those of the names that are files."""
        paths = {self._path(name): name for name in names}
        asked, found = list(paths), set()
        for start in range(0, len(asked), ASKED_FOR):
            for one in self.api.get_paths_info(
                self.name, asked[start : start + ASKED_FOR], repo_type=self.kind, revision=self.revision
            ):
                if hasattr(one, "blob_id"):  # folders have a `tree_id`
                    found.add(paths[one.path])
        return found

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name


def repository(system: Any, path: str) -> Repository:
    """The repository of a folder, by fsspec's file system and the path within it.

    Raises FileNotFoundError where there is no repository or no access to it.
    """
    from huggingface_hub import HfApi  # pyright: ignore[reportMissingImports]

    try:
        found = system.resolve_path(path)
    except FileNotFoundError:
        system.invalidate_cache()  # fsspec caches that there is none
        raise FileNotFoundError(
            "there is no such repository or branch, or no access to it: create it on the Hub, or log in with "
            "`hf auth login`"
        ) from None
    return Repository(
        api=HfApi(endpoint=system.endpoint, token=system.token),
        name=found.repo_id,
        kind=found.repo_type,
        revision=found.revision,
        folder=found.path_in_repo.rstrip("/"),
    )


def reason(error: BaseException) -> str:
    """The Hub's message, or the error's own text, as one line."""
    text = getattr(error, "server_message", None) or str(error)
    return " ".join(text.split()) or type(error).__name__


def _pause(error: Any, wait: float) -> float | None:
    """Seconds to wait before another attempt; None if there should be none."""
    response = getattr(error, "response", None)
    if response is None or response.status_code not in LATER:
        return None
    try:
        asked = float(response.headers.get("Retry-After", ""))
    except ValueError:
        asked = 0.0
    return max(asked, wait * random.uniform(0.5, 1.5))  # not all writers at once


def _message(files: list[str], gone: list[str]) -> str:
    done = [f"write {_counted(files)}"] if files else []
    return ", ".join([*done, *([f"remove {_counted(gone)}"] if gone else [])]).capitalize()


def _counted(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} files"
