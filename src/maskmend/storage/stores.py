"""Folders of files, local or at a URL that fsspec supports (`s3://`, `gs://`, `hf://`; extra `cloud`).

Names are relative to the folder, with forward slashes. Writes are atomic: on disks by renaming, in object
storage because objects are put in one piece, on the Hub by commits; on other remote file systems by moving.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskmend.errors import ConfigError, DataError, OutputError, pip_install
from maskmend.storage.files import write_files
from maskmend.storage.hub_commits import is_repository, reason, repository

OBJECTS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "hf", "memory")
"""Protocols that write an object atomically; of `hf://` the buckets."""
IN_CLOUD = ("s3", "s3a", "gs", "gcs", "hf")
"""Protocols whose packages the extra `cloud` installs."""


def is_url(place: str | Path) -> bool:
    return "://" in str(place)


def joined(place: str | Path, name: str) -> str:
    """The place of a file within a folder."""
    return f"{str(place).rstrip('/')}/{name}" if name else str(place)


@dataclass(frozen=True, kw_only=True)
class Store:
    """One folder. Raises ConfigError for a protocol whose package is missing."""

    place: str

    def listing(self, folder: str = "") -> tuple[list[str], list[str]]:
        """Names of the folders and of the files that lie directly in `folder`, in order.

        Empty where there is no such folder.
        """
        if not is_url(self.place):
            return _local_listing(self.place, folder)
        system, path = file_system(joined(self.place, folder))
        try:
            # fsspec keeps listings, and then treats files that another process has written since as missing.
            system.invalidate_cache(path)
            found = system.ls(path, detail=True)
            system.invalidate_cache(path)
        except FileNotFoundError:
            return [], []
        except Exception as error:
            raise DataError(f"cannot list {joined(self.place, folder)}: {_line(error)}") from error
        below = f"{folder}/" if folder else ""
        # Some object stores list a folder's own marker among what it holds.
        found = [one for one in found if one["name"].strip("/") != path.strip("/")]
        named = [(below + one["name"].rstrip("/").rsplit("/", 1)[-1], one["type"]) for one in found]
        folders = sorted(name for name, kind in named if kind == "directory")
        return folders, sorted(name for name, kind in named if kind == "file")

    def holds(self, name: str) -> bool:
        """Whether there is a file of that name. Raises DataError where that cannot be known, as with wrong
        credentials."""
        place = joined(self.place, name)
        if not is_url(self.place):
            return os.path.isfile(place)  # noqa: PTH113 - many thousands of them
        if self.commits:
            return self.holds_all([name])
        system, path = file_system(place)
        try:
            # Not `isfile`: it takes any error, of credentials or of the network, for "no such file".
            return system.info(path)["type"] == "file"
        except (FileNotFoundError, NotADirectoryError):
            return False
        except Exception as error:
            raise DataError(f"cannot look for {place}: {_line(error)}") from error

    def holds_all(self, names: Iterable[str]) -> bool:
        """Whether there are files of all these names. Raises DataError, as `holds`."""
        if not self.commits:
            return all(self.holds(name) for name in names)
        wanted = set(names)
        system, path = file_system(self.place)
        try:
            return repository(system, path).existing(wanted) == wanted
        except ConfigError:
            raise
        except Exception as error:
            raise DataError(f"cannot look for files in {self.place}: {reason(error)}") from error

    @property
    def commits(self) -> bool:
        """Whether every change is a commit, as on the Hub: then files should be written together."""
        return is_repository(self.place)

    def read(self, name: str) -> bytes:
        return read(joined(self.place, name))

    def change(self, files: Mapping[str, bytes], removed: Sequence[str] = ()) -> None:
        """Writes `files` in their order, then removes those `removed` that exist; on the Hub all in one
        commit. Raises OutputError, and DataError where a file cannot be removed."""
        if not self.commits:
            for name, content in files.items():
                self.write(name, content)
            for name in removed:
                self.remove(name)
            return
        system, path = file_system(self.place)
        try:
            repository(system, path).commit(files, removed)
        except ConfigError:
            raise
        except Exception as error:
            raise OutputError(f"cannot write into {self.place}: {reason(error)}") from error
        finally:
            system.dircache.clear()  # and no more: fsspec also caches that the repository exists

    def write(self, name: str, content: bytes) -> None:
        """Raises OutputError."""
        if not is_url(self.place):
            write_files({Path(joined(self.place, name)): content})
            return
        if self.commits:
            self.change({name: content})
            return
        place = joined(self.place, name)
        system, path = file_system(place)
        try:
            if place.split("://")[0] in OBJECTS:
                system.pipe_file(path, content)
            else:
                system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
                # One name, so that what a killed writer left is replaced when this file is written again.
                system.pipe_file(f"{path}.part", content)
                system.mv(f"{path}.part", path)
        except Exception as error:
            raise OutputError(f"cannot write {place}: {_line(error)}") from error

    def remove(self, name: str) -> None:
        """Removes the file, if it exists. Raises DataError where it cannot be removed."""
        place = joined(self.place, name)
        if not is_url(self.place):
            Path(place).unlink(missing_ok=True)
            return
        if self.commits:
            self.change({}, [name])
            return
        if not self.holds(name):  # some systems raise no FileNotFoundError for it
            return
        system, path = file_system(place)
        try:
            system.rm_file(path)
        except FileNotFoundError:
            return
        except Exception as error:
            raise DataError(f"cannot remove {place}: {_line(error)}") from error


def open_binary(place: str) -> Any:
    """The file, for reading and seeking. Raises DataError."""
    try:
        if not is_url(place):
            return Path(place).open("rb")
        system, path = file_system(place)
        return system.open(path, "rb")
    except ConfigError:
        raise
    except Exception as error:  # missing credentials, for example, do not raise OSError
        raise DataError(f"cannot read {place}: {_line(error)}") from error


def read(place: str, offset: int = -1, size: int = -1) -> bytes:
    """The file, or `size` bytes of it. Raises DataError, also where there are fewer."""
    try:
        if is_url(place):
            system, path = file_system(place)
            if offset >= 0:
                content = system.cat_file(path, start=offset, end=offset + size, **_exactly(place))
            elif place.startswith("hf://"):
                # As a stream: `cat_file` lists the file's folder first, and keeps the list.
                with system.open(path, "rb", block_size=0) as file:
                    content = file.read()
            else:
                content = system.cat_file(path)
        else:
            with Path(place).open("rb") as file:
                if offset >= 0:
                    file.seek(offset)
                content = file.read(size)
    except ConfigError:
        raise
    except Exception as error:
        raise DataError(f"cannot read {place}: {_line(error)}") from error
    if offset >= 0 and len(content) != size:
        raise DataError(f"cannot read {place}: it ends before byte {offset + size}")
    return content


def read_ranges(ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
    """The bytes of each (place, offset, size); ranges on the same remote file system are requested together
    if it supports that. Raises DataError, also where there are fewer.
    """
    found: list[bytes] = [b""] * len(ranges)
    # fsspec gives the same file system again for the same account, not for another one of the same protocol.
    remote: dict[int, tuple[Any, list[tuple[int, str]]]] = {}
    for number, (place, offset, size) in enumerate(ranges):
        if is_url(place):
            system, path = file_system(place)
            remote.setdefault(id(system), (system, []))[1].append((number, path))
        else:
            found[number] = read(place, offset, size)
    for system, wanted in remote.values():
        spans = [ranges[number][1:] for number, _ in wanted]
        starts, ends = [offset for offset, _ in spans], [offset + size for offset, size in spans]
        exactly = _exactly(ranges[wanted[0][0]][0])
        contents = system.cat_ranges([path for _, path in wanted], starts, ends, **exactly)
        for (number, _), content in zip(wanted, contents, strict=True):
            place, offset, size = ranges[number]
            if isinstance(content, Exception):
                raise DataError(f"cannot read {place}: {_line(content)}") from content
            if len(content) != size:
                raise DataError(f"cannot read {place}: it ends before byte {offset + size}")
            found[number] = bytes(content)
    return found


def size_of(place: str) -> int:
    """Bytes of a file. Raises DataError."""
    try:
        if not is_url(place):
            return Path(place).stat().st_size
        system, path = file_system(place)
        return int(system.size(path))
    except ConfigError:
        raise
    except Exception as error:
        raise DataError(f"cannot read {place}: {_line(error)}") from error


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path within it."""
    try:
        # An extra of its own name; PyTorch brings it as well.
        from fsspec.core import url_to_fs
    except ImportError:
        raise ConfigError(f"{url} needs fsspec: {pip_install('cloud')}") from None
    try:
        system, path = url_to_fs(url)
    except ImportError as error:  # fsspec says which package
        remedy = f": {pip_install('cloud')}" if url.split("://")[0] in IN_CLOUD else ""
        raise ConfigError(f"{url}: {_line(error)}{remedy}") from None
    except ValueError as error:
        raise ConfigError(f"{url}: {_line(error)}: give a path, or s3://, gs:// or hf://") from None
    return system, path


def _local_listing(place: str, folder: str) -> tuple[list[str], list[str]]:
    below = f"{folder}/" if folder else ""
    folders, files = [], []
    try:
        with os.scandir(joined(place, folder)) as entries:
            for entry in entries:
                if entry.is_symlink() and _leads_back(entry.path):
                    continue
                (folders if entry.is_dir() else files).append(below + entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except OSError as error:
        raise DataError(f"cannot list {joined(place, folder)}: {_line(error)}") from error
    return sorted(folders), sorted(files)


def _exactly(place: str) -> dict[str, str]:
    """Options for the bytes of a range and no others: on the Hub, fsspec would read five megabytes ahead."""
    return {"cache_type": "none"} if place.startswith("hf://") else {}


def _leads_back(link: str) -> bool:
    """Whether a link leads to a folder that it lies in: its files would be listed forty times."""
    target = Path(os.path.realpath(link))
    return Path(os.path.realpath(os.path.dirname(link))).is_relative_to(target)  # noqa: PTH120


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
