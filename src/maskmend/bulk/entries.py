"""What there is to fill, a reference at a time: pictures by their key, chunks of them, and shares of the
chunks.

A chunk is what is committed in one piece (`targets`). Where one ends is decided by the keys themselves, not
by their number: a picture that is added to a source changes the one chunk that it falls in, and which chunks
there are does not depend on who fills them.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from maskmend.errors import ConfigError
from maskmend.seeds import MAX_SEED
from maskmend.stores import read


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where the bytes of a file lie; they are read where they are needed, not where they are listed."""

    place: str
    """Path or URL."""
    offset: int = -1
    size: int = -1
    """Of a member of a tar file."""

    def read(self) -> bytes:
        return read(self.place, self.offset, self.size)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Bytes in a Parquet file."""

    place: str
    column: str
    group: int
    """The row group, and the row within it."""
    row: int

    def read(self) -> bytes:
        from maskmend.bulk.parquet import read_cell

        return read_cell(self.place, self.column, self.group, self.row)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One picture of a source."""

    key: str
    """Its name without suffix, within its part."""
    part: str = ""
    """The shard it comes from, without suffix; empty in a folder."""
    suffix: str = ""
    """Of the picture's file, such as ".jpg"; empty where it has none."""
    image: Location | Cell | None = None
    mask: Location | Cell | None = None
    guide: Location | None = None
    metadata: Location | None = None
    """`key.json` of a tar shard."""
    trouble: str | None = None
    """Why it cannot be filled, as far as its name tells."""

    @property
    def name(self) -> str:
        """Of its result, without suffix: no two entries of a source share it."""
        return f"{self.part}/{self.key}" if self.part else self.key


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Entries that follow each other in one part of a source."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The share of job `index` of `count` jobs, counted from 0."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ConfigError(
                f"shard {self.index}/{self.count}: give I/N with I from 0 to N - 1, such as 0/4 to 3/4"
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Reads "0/4". Raises ConfigError."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        if match is None:
            raise ConfigError(f"shard {text!r}: give I/N with I from 0 to N - 1, such as 0/4 to 3/4")
        return cls(index=int(match[1]), count=int(match[2]))

    def takes(self, name: str) -> bool:
        return zlib.crc32(name.encode(errors="surrogateescape")) % self.count == self.index


def seed_of(key: str, seed: int) -> int:
    """The seed of a picture: of its key and the run's seed alone, so that nothing else changes its fill."""
    digest = hashlib.sha256(f"{seed}\0".encode() + key.encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") & MAX_SEED


def is_safe(key: str) -> bool:
    """Whether the key, which a stranger's archive may hold, stays within the target's folder as a path."""
    parts = re.split(r"[/\\]", key)
    return not (set(parts) & {"", ".", ".."}) and "\0" not in key and parts[0] != "_maskmend"


def cut_chunks(part: str, entries: Iterable[Entry], size: int) -> Iterator[Chunk]:
    """Chunks of `size` entries on average: each begins at a key whose checksum is a multiple of it."""
    gathered: list[Entry] = []
    for entry in entries:
        starts = zlib.crc32(entry.key.encode(errors="surrogateescape")) % size == 0
        if gathered and starts:
            yield _chunk(part, gathered)
            gathered = []
        gathered.append(entry)
    if gathered:
        yield _chunk(part, gathered)


def plan(
    parts: list[str], entries: Callable[[str], Iterable[Entry]], *, shard: Shard, size: int
) -> Iterator[Chunk]:
    """The chunks of a shard. With as many parts as jobs or more a job reads parts of its own only."""
    whole = len(parts) >= shard.count
    for part in parts[shard.index :: shard.count] if whole else parts:
        for chunk in cut_chunks(part, entries(part), size):
            if whole or shard.takes(chunk.name):
                yield chunk


def _chunk(part: str, entries: list[Entry]) -> Chunk:
    first = entries[0].key.encode(errors="surrogateescape")
    digest = hashlib.sha256(part.encode(errors="surrogateescape") + b"\0" + first).hexdigest()[:16]
    word = re.sub(r"[^A-Za-z0-9._-]+", "_", part)[-60:]
    return Chunk(name=f"{word}-{digest}" if word else digest, entries=tuple(entries))
