"""The pictures to fill, as references: entries by key, chunks of entries, and shards of the chunks.

The results of a chunk are committed together (`targets`). Chunk boundaries depend on the keys, not on their
count. So a picture that is added to a source changes only the chunk it falls into, and the chunks do not
depend on how the work is distributed.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from maskmend.errors import ConfigError
from maskmend.seeds import MAX_SEED
from maskmend.storage.stores import read


@dataclass(frozen=True, kw_only=True)
class Location:
    """Reference to the bytes of a file, which are read where they are needed, not where they are listed."""

    place: str
    """Path or URL."""
    offset: int = -1
    size: int = -1
    """Offset and size of a member of a tar file."""

    def read(self) -> bytes:
        return read(self.place, self.offset, self.size)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A column of a Parquet file."""

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
    """Its name without suffix, relative to its part."""
    part: str = ""
    """The shard it comes from, without suffix; empty for a folder."""
    suffix: str = ""
    """Suffix of the picture's file, such as ".jpg"; empty if there is none."""
    image: Location | Cell | None = None
    mask: Location | Cell | None = None
    guide: Location | None = None
    metadata: Location | None = None
    """`key.json` of a tar shard."""
    trouble: str | None = None
    """Why it cannot be filled, if that is known from its name."""

    @property
    def name(self) -> str:
        """Name of its result without suffix, unique within the source."""
        return f"{self.part}/{self.key}" if self.part else self.key


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive entries of one part of a source."""

    name: str
    entries: tuple[Entry, ...]
    share: float = 0.0
    """Its share of the part's entries; 0 where their number is not known beforehand."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The share of job `index` out of `count` jobs, counted from 0."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ConfigError(
                f"shard {self.index}/{self.count}: give I/N with I from 0 to N - 1, such as 0/4 to 3/4"
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Parses text such as "0/4". Raises ConfigError."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        if match is None:
            raise ConfigError(f"shard {text!r}: give I/N with I from 0 to N - 1, such as 0/4 to 3/4")
        return cls(index=int(match[1]), count=int(match[2]))

    def takes(self, name: str) -> bool:
        return zlib.crc32(name.encode(errors="surrogateescape")) % self.count == self.index


def seed_of(key: str, seed: int) -> int:
    """The seed of a picture: depends only on its key and the run's seed."""
    digest = hashlib.sha256(f"{seed}\0".encode() + key.encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") & MAX_SEED


def is_safe(key: str) -> bool:
    """Whether the key, which may come from an untrusted archive, is a path inside the target's folder."""
    parts = re.split(r"[/\\]", key)
    return not (set(parts) & {"", ".", ".."}) and "\0" not in key and parts[0] != "_maskmend"


def cut_chunks(part: str, entries: Iterable[Entry], size: int) -> Iterator[Chunk]:
    """Chunks of `size` entries on average: each starts at a key whose checksum is a multiple of `size`."""
    gathered: list[Entry] = []
    for entry in entries:
        starts = zlib.crc32(entry.key.encode(errors="surrogateescape")) % size == 0
        if gathered and starts:
            yield _chunk(part, gathered)
            gathered = []
        gathered.append(entry)
    if gathered:
        yield _chunk(part, gathered)


def parts_of(parts: list[str], shard: Shard) -> tuple[list[str], bool]:
    """The parts that a job reads, and whether it fills all of their chunks or only its share of them.

    With at least as many parts as jobs, each job reads only its own parts.
    """
    whole = len(parts) >= shard.count
    return (parts[shard.index :: shard.count] if whole else parts), whole


def plan(parts: list[str], chunks: Callable[[str], Iterable[Chunk]], *, shard: Shard) -> Iterator[Chunk]:
    """The chunks of a shard."""
    own, whole = parts_of(parts, shard)
    for part in own:
        for chunk in chunks(part):
            if whole or shard.takes(chunk.name):
                yield chunk


def _chunk(part: str, entries: list[Entry]) -> Chunk:
    first = entries[0].key.encode(errors="surrogateescape")
    digest = hashlib.sha256(part.encode(errors="surrogateescape") + b"\0" + first).hexdigest()[:16]
    word = re.sub(r"[^A-Za-z0-9._-]+", "_", part)[-60:]
    return Chunk(name=f"{word}-{digest}" if word else digest, entries=tuple(entries))
