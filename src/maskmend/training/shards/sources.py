"""Opens the `data` of a recipe as a set of pictures: in memory, from indexed shards, or with tokens."""

from pathlib import Path

import numpy as np

from maskmend.progress import Log
from maskmend.storage.stores import is_url
from maskmend.training.dataset import ImageSet, shared_pictures
from maskmend.training.shards.index import find_index, open_index, without_index
from maskmend.training.shards.pictures import ShardSet
from maskmend.training.shards.tokens import TokenSet


def open_pictures(
    source: str,
    size: int,
    *,
    cache_bytes: int = 4 << 30,
    workers: int = 0,
    with_tokens: bool = False,
    log: Log | None = None,
) -> ImageSet | ShardSet:
    """The pictures at `source`: read on demand if it has an index, else decoded now.

    Args:
        with_tokens: whether to use tokens if there are any; their pictures have a fixed size.

    Raises DataError, also for a URL without an index.
    """
    found = find_index(source)
    if found is not None:
        index = open_index(found)
        if with_tokens and index.tokens is not None:
            return TokenSet(index, cache_bytes=cache_bytes, workers=workers)
        return ShardSet(index, size, cache_bytes=cache_bytes, workers=workers)
    if is_url(source):
        raise without_index(source)
    return ImageSet(source, size, cache_bytes=cache_bytes, log=log)


def shared_count(training: ImageSet | ShardSet, validation: ImageSet | ShardSet) -> int:
    """The number of validation pictures that are also training pictures. Indexed pictures are compared by
    position, as an index has no information on their content."""
    if isinstance(training, ImageSet) and isinstance(validation, ImageSet):
        return shared_pictures(training, validation)
    ours, theirs = _offsets(training), _offsets(validation)
    return sum(len(np.intersect1d(ours[place], theirs[place])) for place in ours.keys() & theirs.keys())


def _offsets(images: ImageSet | ShardSet) -> dict[str, np.ndarray]:
    """Offsets of the pictures in each file, -1 for a picture that is a file of its own."""
    if isinstance(images, ImageSet):
        found: dict[str, list[int]] = {}
        for entry in images.entries:
            found.setdefault(str(entry.path.resolve()), []).append(entry.offset)
        return {place: np.array(offsets) for place, offsets in found.items()}
    index = images.index
    order = np.argsort(index.records["shard"], kind="stable")
    ends = np.searchsorted(index.records["shard"][order], np.arange(len(index.shards) + 1))
    offsets = index.records["offset"][order].astype(np.int64)
    places = [index.shard(number) for number in range(len(index.shards))]
    return {
        place if is_url(place) else str(Path(place).resolve()): offsets[start:end]
        for place, start, end in zip(places, ends, ends[1:], strict=False)
    }
