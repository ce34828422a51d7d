"""Sources of pictures: a folder, tar shards (WebDataset layout) or Parquet files, on disk or at a URL.

Masks are next to the pictures (`key.mask.png`, or the column `mask`), in a separate source with the same
keys, or one for all. A source lists one folder, or the headers of one shard, at a time.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from maskmend.batch.folder import FILLABLE
from maskmend.bulk.entries import Chunk, Entry, Location, Shard, cut_chunks, is_safe, plan
from maskmend.bulk.guides import Guides
from maskmend.bulk.parquet import count_rows, entries_of
from maskmend.errors import ConfigError, DataError
from maskmend.storage.stores import Store, is_url, joined, open_binary

_MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)")
"""Key and extension, split at the first dot of the file name."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Pictures with their masks. The listing depends only on the source's content."""

    kind: str
    """folder, tar or parquet."""
    images: str
    masks: str | None = None
    """A folder, or tar shards named like those of the pictures."""
    mask: str | None = None
    """One mask for all pictures."""
    guides: str | None = None
    """A folder with guides by key, or one picture for all. Pictures without a guide are filled without
    one."""
    guide_for_all: bool = False
    needs_mask: bool = True
    """Whether a picture without a mask is an error."""
    files: tuple[str, ...] = ()
    """The shards; empty for a folder."""
    without: tuple[str, ...] = ()
    """Folders inside the source that are skipped."""

    @property
    def guided(self) -> bool:
        return self.guides is not None

    def parts(self) -> list[str]:
        return list(self.files) or [""]

    def entries(self, part: str) -> Iterator[Entry]:
        """The entries of one part; an unreadable shard is one entry with `trouble`."""
        guides = None if self.guides is None else Guides(self.guides, for_all=self.guide_for_all)
        seen: set[str] = set()
        if self.kind == "folder":
            for entry in self._of_folder(""):
                yield self._checked(entry, guides)
            return
        try:
            for entry in self._of_tar(part) if self.kind == "tar" else self._of_parquet(part):
                if entry.key in seen:
                    entry = replace(entry, trouble=f"the key {entry.key!r} occurs twice in {part}")
                seen.add(entry.key)
                yield self._checked(entry, guides)
        except DataError as error:
            key = _stem(joined(self.images, part).rsplit("/", 1)[-1])
            yield Entry(key=key, part=_stem(part), trouble=str(error))

    def chunks(self, *, shard: Shard, size: int) -> Iterator[Chunk]:
        return plan(self.parts(), partial(self.chunks_of, size=size), shard=shard)

    def chunks_of(self, part: str, *, size: int) -> Iterator[Chunk]:
        """The chunks of one part. Those of tar shards, whose headers are all read first, and of Parquet files
        have their share in it."""
        entries: Iterable[Entry] = self.entries(part)
        count = self.rows(part)
        if self.kind == "tar":
            entries = list(entries)
            count = len(entries)
        for chunk in cut_chunks(part, entries, size):
            yield replace(chunk, share=len(chunk.entries) / count) if count else chunk

    def rows(self, part: str) -> int | None:
        """The number of entries of a Parquet file, from its footer; None for other sources."""
        if self.kind != "parquet":
            return None
        try:
            return count_rows(_shard(self.images, part))
        except DataError:
            return 1  # as `entries`

    def _checked(self, entry: Entry, guides: Guides | None) -> Entry:
        if guides is not None:
            entry = guides.given_to(entry)
        if self.mask is not None:
            entry = replace(entry, mask=Location(place=self.mask))
        if entry.trouble is None and not is_safe(entry.key):
            entry = replace(entry, trouble=f"the key {entry.key!r} is no name for a file: rename it")
        if entry.trouble is None and entry.mask is None and self.needs_mask:
            where = f"in {self.masks}" if self.masks else "beside it"
            entry = replace(entry, trouble=f"no mask of that name {where}")
        return entry

    def _of_folder(self, folder: str) -> Iterator[Entry]:
        store = Store(place=self.images)
        folders, files = store.listing(folder)
        images = [name for name in files if _suffix(name) in FILLABLE]
        beside = self.masks is None and self.mask is None
        masks: dict[str, list[str]] = {}
        if self.masks is not None:
            for name in Store(place=self.masks).listing(folder)[1]:
                if _suffix(name) in FILLABLE:
                    masks.setdefault(_stem(name), []).append(joined(self.masks, name))
        elif beside:
            for name in images:
                if _stem(name).endswith(".mask"):
                    masks.setdefault(_stem(name)[:-5], []).append(joined(self.images, name))
            images = [name for name in images if not _stem(name).endswith(".mask")]
        singles = (self.mask, self.guides if self.guide_for_all else None)
        for single in (one for one in singles if one is not None):  # it may be in the same folder
            images = [name for name in images if _whole(joined(self.images, name)) != _whole(single)]
        taken: set[str] = set()
        for name in images:
            key, trouble = _stem(name), None
            found = masks.get(key, [])
            if len(found) > 1:
                names = ", ".join(one.rsplit("/", 1)[-1] for one in found)
                trouble = f"{len(found)} masks of that name: {names}"
            if key in taken:
                trouble = f"another picture is called {key!r} too: rename one"
                key = name  # so that it has a record of its own
            taken.add(key)
            yield Entry(
                key=key,
                suffix=_suffix(name),
                image=Location(place=joined(self.images, name)),
                mask=Location(place=found[0]) if len(found) == 1 else None,
                trouble=trouble,
            )
        for inner in folders:
            if inner.rsplit("/", 1)[-1] != "_maskmend" and not self._passes_over(inner):
                yield from self._of_folder(inner)

    def _passes_over(self, folder: str) -> bool:
        return _whole(joined(self.images, folder)) in {_whole(other) for other in self.without}

    def _of_tar(self, part: str) -> Iterator[Entry]:
        members = index_tar(_shard(self.images, part))
        others = {} if self.masks is None else index_tar(_shard(self.masks, part))
        for key, files in members.items():
            images = [name for name in files if f".{name}" in FILLABLE]
            masks = [where for name, where in files.items() if _is_mask(name)]
            if self.masks is not None:
                masks = [
                    where
                    for name, where in others.get(key, {}).items()
                    if f".{name}" in FILLABLE or _is_mask(name)
                ]
            if not images and not masks:  # a text or label file of another data set
                continue
            trouble = None
            if len(images) != 1:
                trouble = f"{len(images)} pictures of the key {key!r}: there should be one"
            elif len(masks) > 1 and self.mask is None:
                trouble = f"{len(masks)} masks of the key {key!r}: there should be one"
            yield Entry(
                key=key,
                part=_stem(part),
                suffix=f".{images[0]}" if images else "",
                image=files[images[0]] if images else None,
                mask=masks[0] if masks else None,
                metadata=files.get("json"),
                trouble=trouble,
            )

    def _of_parquet(self, part: str) -> Iterator[Entry]:
        place = _shard(self.images, part)
        return entries_of(place, _stem(part), with_mask=self.mask is None, needs_mask=self.needs_mask)


def open_source(
    images: str | Path,
    *,
    masks: str | Path | None = None,
    mask: str | Path | None = None,
    guides: str | Path | None = None,
    needs_mask: bool = True,
    target: str | Path | None = None,
) -> Source:
    """Opens the source at `images`: a .tar or .parquet file, a folder of such files, or a folder of pictures.

    `guides` is a folder or a picture. Without `needs_mask`, masks are optional. If `target` is inside the
    source, it is skipped. Raises DataError if nothing is found, ConfigError for masks that do not match
    the pictures.
    """
    place = str(images)
    if masks is not None and mask is not None:
        raise ConfigError("--masks and --mask (one for all pictures) exclude each other: leave one out")
    if mask is not None and not is_url(mask) and not Path(mask).is_file():
        raise DataError(f"no mask at {mask}: give a picture file")
    kind, files = _found(place)
    if masks is not None:
        other, _ = _found(str(masks))
        if kind == "parquet" or other != kind:
            raise ConfigError(
                f"--masks {masks} is {_named(other)} and --input {images} {_named(kind)}: give masks of the "
                "same kind, in the column mask of Parquet files, or one for all with --mask"
            )
    guide_for_all = guides is not None and _is_file(str(guides))
    if guides is not None and not guide_for_all and not any(Store(place=str(guides)).listing()):
        raise DataError(f"no guide at {guides}: give one picture for all, or a folder of guides")
    folders = (masks, None if guide_for_all else guides)
    without = tuple(str(one) for one in (*folders, target) if one is not None)
    for read in (images, *folders):
        if target is not None and read is not None:
            _check_apart(str(target), str(read))
    return Source(
        kind=kind,
        images=place,
        masks=None if masks is None else str(masks),
        mask=None if mask is None else str(mask),
        guides=None if guides is None else str(guides),
        guide_for_all=guide_for_all,
        needs_mask=needs_mask,
        files=tuple(files),
        without=without,
    )


def index_tar(place: str) -> dict[str, dict[str, Location]]:
    """The position of each member, by key and lower-case extension; only the headers are read.

    Raises DataError unless it is an uncompressed tar file; members of others cannot be read individually.
    """
    found: dict[str, dict[str, Location]] = {}
    try:
        with open_binary(place) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                match = _MEMBER.fullmatch(member.name)
                if member.isfile() and match is not None:
                    where = Location(place=place, offset=member.offset_data, size=member.size)
                    found.setdefault(match[1], {})[match[2].lower()] = where
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"cannot read {place} as an uncompressed tar file: {error}") from None
    return found


def holds_shards(place: str) -> bool:
    """Whether it is a tar or Parquet file, or a folder that contains some."""
    if _suffix(place) in (".tar", ".parquet"):
        return True
    return any(_suffix(name) in (".tar", ".parquet") for name in Store(place=place).listing()[1])


def _found(place: str) -> tuple[str, list[str]]:
    """The kind of source at `place`, and its shards."""
    suffix = _suffix(place)
    if suffix in (".tar", ".parquet"):
        if not _is_file(place):
            raise DataError(f"no file at {place}: check the path")
        return suffix[1:], [""]
    folders, files = Store(place=place).listing()
    if not folders and not files:
        raise DataError(f"nothing at {place}: give a folder, .tar or .parquet files, or a URL of such")
    for suffix in (".tar", ".parquet"):
        shards = [name for name in files if _suffix(name) == suffix]
        if shards:
            return suffix[1:], shards
    return "folder", []


def _is_file(place: str) -> bool:
    folder, name = place.rsplit("/", 1) if "/" in place else (".", place)
    return bool(name) and Store(place=folder).holds(name)


def _check_apart(target: str, source: str) -> None:
    """Raises ConfigError if results could overwrite input files."""
    own, other = _whole(target), _whole(source)
    if own == other:
        raise ConfigError(f"--output {target} is one of the folders read: choose another")
    if other.startswith(own.rstrip("/") + "/"):
        raise ConfigError(
            f"--output {target} holds {source}, whose files results could replace: choose another, such as a "
            "new folder beside it"
        )


def _shard(place: str, part: str) -> str:
    return joined(place, part)


def _named(kind: str) -> str:
    return {"folder": "a folder of pictures", "tar": "of tar shards", "parquet": "of Parquet files"}[kind]


def _is_mask(extension: str) -> bool:
    return extension.startswith("mask.") and extension[4:] in FILLABLE


def _suffix(name: str) -> str:
    own = name.rsplit("/", 1)[-1]
    return f".{own.rsplit('.', 1)[-1].lower()}" if "." in own[1:] else ""


def _stem(name: str) -> str:
    return name[: len(name) - len(_suffix(name))]


def _whole(place: str) -> str:
    return place.rstrip("/") if is_url(place) else str(Path(place).resolve())
