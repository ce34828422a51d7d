"""Atomic writes of one or several files: to a temporary name beside the target, synced, renamed."""

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskmend.errors import OutputError
from maskmend.storage.temporary import beside, remove_stale_once


def write_files(files: Mapping[Path, bytes]) -> None:
    """Writes all `files`. Missing folders are created, and symbolic links are followed. Raises OutputError,
    and then existing files are unchanged.

    All contents are written under temporary names before the first one is renamed, so a full disk changes no
    file. If a later rename fails, the earlier ones are undone; file systems without hard links do not allow
    that for replaced files.
    """
    written: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            # A rename would replace the link by a plain file.
            target = Path(os.path.realpath(path)) if path.is_symlink() else path
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            remove_stale_once(target.parent)
            temporary = beside(target)
            with temporary.open("xb") as file:
                written[target] = temporary
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _rename(written)
    except OSError as error:
        names = ", ".join(str(path) for path in files)
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {names} ({reason}): check the folder, its permissions and free space"
        ) from error
    finally:
        for temporary in written.values():
            temporary.unlink(missing_ok=True)


def file_exists(path: Path) -> bool:
    """Whether it is a file; False if that cannot be found out."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long, or an unreadable folder: writing will raise an error
        return False


def _rename(written: Mapping[Path, Path]) -> None:
    """Puts temporary files in their places: all of them, or none as far as that can be undone."""
    fresh: list[Path] = []
    kept: dict[Path, Path] = {}
    try:
        for target, temporary in written.items():
            if not target.exists():
                fresh.append(target)
            elif len(written) > 1:  # a single rename is atomic
                with contextlib.suppress(OSError):
                    old = beside(target)
                    os.link(target, old)
                    kept[target] = old
            temporary.replace(target)
    except BaseException:
        for target in (*kept, *fresh):
            with contextlib.suppress(OSError):  # the first error is reported
                kept[target].replace(target) if target in kept else target.unlink()
        raise
    finally:
        for old in kept.values():
            old.unlink(missing_ok=True)


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """`content` as indented JSON in UTF-8."""
    return (json.dumps(content, indent=2) + "\n").encode()
