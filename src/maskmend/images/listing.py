"""Pictures in a folder (searched recursively), in a tar file, or in a folder of tar files."""

import os
import tarfile
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

from maskmend.errors import DataError
from maskmend.progress import Skip

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
"""Of pictures that are filled, scored and compared."""
TRAINABLE = SUFFIXES | {".gif"}
"""Of pictures that models are trained on."""


class Entry(NamedTuple):
    """The location of a picture: a file, or a byte range of a tar file."""

    name: str
    path: Path
    offset: int = -1
    size: int = -1

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            if self.offset >= 0:
                file.seek(self.offset)
            return file.read(self.size)


def files_below(folder: Path) -> list[Path]:
    """All files at any depth, in order.

    Unlike with `Path.rglob`, a folder within that vanishes while it is listed, or may not be read, is left
    out, as other programs may be writing there.
    """
    return sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names)


def list_images(
    source: Path, skip: Skip | None = None, suffixes: AbstractSet[str] = SUFFIXES
) -> Iterator[Entry]:
    """Entries of a folder or tar file in a fixed order, those of the files that end in one of `suffixes`.

    Raises DataError if `source` does not exist. A damaged tar file in a folder is passed to `skip` (name,
    reason) if given, and raises DataError otherwise.
    """
    if source.is_file():
        yield from _list_tar(source, suffixes)
        return
    if not source.is_dir():
        raise DataError(f"no folder or tar file at {source}: check the path")
    for path in files_below(source):
        name, suffix = path.relative_to(source).as_posix(), path.suffix.lower()
        if suffix == ".tar" and path.is_file():
            try:
                yield from _list_tar(path, suffixes, name)
            except DataError as error:
                if skip is None:
                    raise
                skip(name, str(error))
        elif suffix in suffixes and path.is_file():
            yield Entry(name, path)


def _list_tar(path: Path, suffixes: AbstractSet[str], within: str = "") -> Iterator[Entry]:
    try:
        with tarfile.open(path, "r:") as archive:
            members = sorted((m for m in archive if m.isfile()), key=lambda m: m.name)
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"cannot read {path} as an uncompressed tar file: {error}") from None
    for member in members:
        if Path(member.name).suffix.lower() in suffixes:
            name = f"{within}/{member.name}" if within else member.name
            yield Entry(name, path, member.offset_data, member.size)
