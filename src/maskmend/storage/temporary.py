"""Names of temporary files, and the removal of those left behind by ended processes.

A killed process leaves the file it was writing, which for a checkpoint is large. The name contains machine
and process: files of a process on this machine that no longer runs are removed at once. Whether a process on
another machine, or in another container, still runs cannot be checked; its files are removed when they have
not been written to for a day.
"""

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

DAY = 24 * 3600.0
_NAME = re.compile(r"\.maskmend-(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]{1,10})-[0-9a-f]{12}", re.ASCII)
_OLD_NAME = re.compile(r"\.(?:last|best)\.pt\.(?P<process>[0-9]{1,10})", re.ASCII)
"""Suffix of temporary checkpoints written by versions whose temporary names lacked the machine."""
_STARTED = time.time()


def beside(path: Path) -> Path:
    """A free name in the same folder; short, as `path` may already have the longest name possible."""
    # Not mkstemp, whose files nobody but their owner may ever read
    return path.with_name(f".maskmend-{_machine()}-{os.getpid()}-{secrets.token_hex(6)}")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to; it is renamed to `path` if the block does not raise."""
    temporary = beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # it was renamed, or the earlier error is the one to report
            temporary.unlink()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of this user's in the system's folder for temporary files; removed at the end, or, if the
    process is killed before, by the first call of another one."""
    place = Path(tempfile.gettempdir())
    remove_stale_once(place)
    folder = beside(place / "folder")
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale(folder: Path) -> None:
    """Removes abandoned temporary files and folders in `folder` (not in its subfolders), if possible."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.startswith(".") and _is_stale(entry)]
    except OSError:  # no such folder, or one that may not be looked into
        return
    for entry in found:
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink()


@functools.cache
def remove_stale_once(folder: Path) -> None:
    """`remove_stale`, at the first call for each folder: many files may be written into one."""
    remove_stale(folder)


def _is_stale(entry: os.DirEntry[str]) -> bool:
    match = _NAME.fullmatch(entry.name) or _OLD_NAME.fullmatch(entry.name)
    if match is None:
        return False
    try:
        if entry.is_dir(follow_symlinks=False) and match.re is _NAME:
            written = _last_written(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            written = entry.stat(follow_symlinks=False).st_mtime
        else:
            return False
    except OSError:
        return False
    if time.time() - written > DAY:
        return True
    if match.groupdict().get("machine", _machine()) != _machine():
        return False
    process = int(match["process"])
    if process == os.getpid():  # the number of an ended process was given to this one
        return written < _STARTED
    return not _runs(process)


def _last_written(folder: Path) -> float:
    """When anything in a folder was written to last."""
    paths = [folder, *(Path(inside) / name for inside, _, names in os.walk(folder) for name in names)]
    return max(path.lstat().st_mtime for path in paths)


def _runs(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is not a mere query
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


@functools.cache
def _machine() -> str:
    """This machine since its last start, and within it this container, as far as process numbers go."""
    parts = [platform.node()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:  # not Linux
        parts.append(str(uuid.getnode()))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
