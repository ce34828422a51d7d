"""The index of a data set in tar shards: the position of each picture, created once by `maskmend data index`.

    index.maskmend.json    format, the shards with their sizes in bytes, what the tokens are if there are any
    index.maskmend.npy     one record a picture: shard, offset, size (16 bytes)

The records are memory-mapped, so a run over a million pictures starts as fast as one over ten. Pictures are
sorted by shard and by name within it, as in `dataset.ImageSet`; other files are left out. Indexing reads only
the tar headers, so pictures that cannot be decoded are found only when they are used.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np

from maskmend.errors import ConfigError, DataError
from maskmend.images.listing import TRAINABLE
from maskmend.progress import Log
from maskmend.storage.formats import check_format
from maskmend.storage.stores import Store, is_url, joined, open_binary, read, size_of

NAME = "index.maskmend.json"
FORMAT = 1
RECORD = np.dtype([("shard", "<u4"), ("offset", "<u8"), ("size", "<u4")])
TOKEN_RECORD = np.dtype([*RECORD.descr, ("codes", "<u8")])
"""With the offset of its tokens."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """An opened index."""

    place: str
    """Folder or URL of the shards."""
    shards: tuple[str, ...]
    """Names of the shards, relative to `place`."""
    sizes: tuple[int, ...]
    """Size in bytes of each shard when it was indexed."""
    records: np.ndarray
    """Array of `RECORD` or `TOKEN_RECORD`; memory-mapped if the index is a local file."""
    tokens: dict[str, Any] | None = field(default=None)
    """Kind of the tokens: `tokenizer` (hash), `grid`, `resolution`, `bytes` per token; None without any."""

    def __len__(self) -> int:
        return len(self.records)

    def shard(self, number: int) -> str:
        return joined(self.place, self.shards[number])


def make_index(place: str, *, log: Log | None = None) -> Index:
    """Indexes all tar files in a folder (searched recursively) or URL, or one tar file.

    Raises DataError if there are none, if one is damaged or compressed, or if it contains no pictures.
    """
    if place.lower().endswith(".tar"):
        place, name = place.rsplit("/", 1) if "/" in place else (".", place)
        names = [name] if Store(place=place).holds(name) else []
    else:
        names = sorted(_tar_files(Store(place=place)), key=lambda one: PurePosixPath(one).parts)
    if not names:
        raise DataError(f"no tar files at {place}: give a folder or URL that holds some, or one tar file")
    parts, sizes = [], []
    for number, name in enumerate(names):
        where = joined(place, name)
        sizes.append(size_of(where))
        parts.append(_records(where, number))
        if log:
            log(f"{name}: {len(parts[-1])} pictures")
    records = np.concatenate(parts)
    if len(records) == 0:
        wanted = ", ".join(sorted(TRAINABLE))
        raise DataError(f"no pictures in the tar files at {place}: expected {wanted} files in them")
    return Index(place=place, shards=tuple(names), sizes=tuple(sizes), records=records)


def write_index(index: Index, target: str) -> str:
    """Writes `index` into a folder or URL and returns its path or URL. Raises OutputError.

    An index next to its shards can be moved together with them; elsewhere it stores their location.
    """
    own = index.place if is_url(index.place) else str(Path(index.place).resolve())
    beside = target.rstrip("/") == index.place.rstrip("/") or (
        not is_url(target) and str(Path(target).resolve()) == own
    )
    head = {
        "format": FORMAT,
        "place": None if beside else own,
        "tokens": index.tokens,
        "shards": [[name, size] for name, size in zip(index.shards, index.sizes, strict=True)],
    }
    content = io.BytesIO()
    np.save(content, index.records, allow_pickle=False)
    store = Store(place=target)
    # The records first, so that they exist whenever the JSON file does.
    store.write(_records_name(NAME), content.getvalue())
    store.write(NAME, (json.dumps(head) + "\n").encode())
    return joined(target, NAME)


def find_index(source: str) -> str | None:
    """The path or URL of the index that `source` is or contains; None if there is none."""
    if source.endswith(".json"):
        return source
    if source.lower().endswith(".tar"):
        return None
    return joined(source, NAME) if Store(place=source).holds(NAME) else None


def open_index(place: str) -> Index:
    """Raises DataError for anything but an index, for a damaged index, and for a newer format."""
    again = "make it with `maskmend data index`"
    try:
        head = json.loads(read(place))
        if not isinstance(head, dict) or "format" not in head:
            raise DataError(f"{place} is no index of shards: {again}")
        check_format(head["format"], FORMAT, place, DataError, otherwise=again)
        shards = tuple(str(name) for name, _ in head["shards"])
        sizes = tuple(int(size) for _, size in head["shards"])
        beside, tokens = place.rsplit("/", 1)[0] if "/" in place else ".", head["tokens"]
        if is_url(place):
            records = np.load(io.BytesIO(read(_records_name(place))), allow_pickle=False)
        else:
            records = np.load(_records_name(place), mmap_mode="r", allow_pickle=False)
    except (ValueError, TypeError, KeyError, OSError, EOFError) as error:
        raise DataError(f"cannot read the index {place} ({' '.join(str(error).split())}): {again}") from None
    if records.dtype != (TOKEN_RECORD if tokens else RECORD) or records.ndim != 1 or len(records) == 0:
        raise DataError(f"the index {place} holds no records: {again}")
    return Index(place=head["place"] or beside, shards=shards, sizes=sizes, records=records, tokens=tokens)


def without_index(source: str) -> DataError:
    """The error for a URL without an index, which would have to be listed at every start."""
    return DataError(
        f"no index at {source}: make one with `maskmend data index {source}`, or where it cannot be written "
        f"with -o FOLDER, and give FOLDER/{NAME} as data"
    )


def check_tokens_of(index: Index, tokenizer: str, what: str) -> None:
    """Raises ConfigError if the tokens were made by a tokenizer other than the one with this hash."""
    if index.tokens is not None and index.tokens["tokenizer"] != tokenizer:
        raise ConfigError(
            f"the tokens at {index.place} are those of another tokenizer than {what}: "
            "run `maskmend data tokenize` with that one"
        )


def _records_name(place: str) -> str:
    return place.removesuffix(".json") + ".npy"


def _tar_files(store: Store, folder: str = "") -> Iterator[str]:
    folders, files = store.listing(folder)
    yield from (name for name in files if name.lower().endswith(".tar"))
    for inner in folders:
        yield from _tar_files(store, inner)


def _records(place: str, number: int) -> np.ndarray:
    """The pictures of one shard, sorted by name."""
    found: list[tuple[str, int, int]] = []
    try:
        with open_binary(place) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                if member.isfile() and PurePosixPath(member.name).suffix.lower() in TRAINABLE:
                    found.append((member.name, member.offset_data, member.size))
                cast("Any", archive).members.clear()  # otherwise tarfile keeps them all in memory
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"cannot read {place} as an uncompressed tar file: {error}") from None
    found.sort(key=lambda one: one[0])
    return np.array([(number, offset, size) for _, offset, size in found], dtype=RECORD)
