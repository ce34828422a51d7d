"""The files of token shards, written one crop after the other, so that a shard need not fit into memory."""

import io
import os
import tarfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from maskmend.errors import OutputError
from maskmend.storage.temporary import remove_stale_once, written_whole


class ShardWriter:
    """Writes crops and their tokens into `tokens-00000.tar`, `tokens-00001.tar`, ... of `folder`.

    A file gets its name once it is complete. Where the block ends with an error, the shard that was begun is
    discarded; those before it stay. Raises OutputError.

    Args:
        folder: where the shards go.
        shard_size: crops in a shard.
    """

    def __init__(self, folder: Path, shard_size: int) -> None:
        self.folder, self.shard_size = folder, shard_size
        self.names: list[str] = []
        """Of the finished shards."""
        self.sizes: list[int] = []
        """Their bytes."""
        self.records: list[tuple[int, int, int, int]] = []
        """For each crop: number of its shard, offset and size of its picture, offset of its tokens."""
        self._stack = ExitStack()
        self._file: io.BufferedWriter | None = None
        self._archive: tarfile.TarFile | None = None
        self._left = 0

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        else:
            self._stack.__exit__(kind, error, trace)

    def add(self, square: np.ndarray, codes: np.ndarray) -> None:
        """Appends a uint8 square (S, S, 3) and its tokens (2, N)."""
        picture = io.BytesIO()
        Image.fromarray(square).save(picture, "png")
        name = f"{len(self.records):09d}"
        try:
            archive = self._archive or self._begin()
            offset = _add(archive, f"{name}.png", picture.getvalue())
            tokens = _add(archive, f"{name}.codes", codes.tobytes())
        except OSError as error:
            raise self._failure(error) from error
        self.records.append((len(self.names), offset, len(picture.getvalue()), tokens))
        self._left -= 1
        if self._left == 0:
            self._finish()

    @property
    def _name(self) -> str:
        return f"tokens-{len(self.names):05d}.tar"

    def _begin(self) -> tarfile.TarFile:
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_stale_once(self.folder)
        temporary = self._stack.enter_context(written_whole(self.folder / self._name))
        self._file = self._stack.enter_context(temporary.open("xb"))
        self._archive = self._stack.enter_context(
            tarfile.TarFile(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)
        )
        self._left = self.shard_size
        return self._archive

    def _finish(self) -> None:
        if self._archive is None or self._file is None:
            return
        try:
            with self._stack:
                self._archive.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                size = self._file.tell()
        except OSError as error:
            raise self._failure(error) from error
        self._archive = self._file = None
        self.names.append(self._name)
        self.sizes.append(size)

    def _failure(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        return OutputError(
            f"cannot write {self.folder / self._name} ({reason}): check the folder, its permissions and free "
            "space"
        )


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> int:
    """Adds a member; returns the offset of its content."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    offset = archive.offset + tarfile.BLOCKSIZE
    archive.addfile(member, io.BytesIO(content))
    return offset
