"""Masks of a bulk run without a picture of the same name, which usually means a misspelt name."""

from collections.abc import Iterator

from maskmend.batch.folder import FILLABLE
from maskmend.bulk.sources import Source, index_tar
from maskmend.errors import DataError
from maskmend.storage.stores import Store, is_url, joined


def lone_masks(source: Source) -> Iterator[str]:
    """Keys of masks in a separate source (`Source.masks`) that have no picture.

    Lists one folder or shard at a time. Unreadable shards are skipped here, as the fill itself reports them.
    Shards at URLs are not checked, since that would mean reading them twice.
    """
    if source.masks is None:
        return
    if source.kind == "folder":
        yield from _of_folder(source, "")
    elif source.kind == "tar" and not is_url(source.masks):
        for part in source.parts():
            try:
                masks = index_tar(joined(source.masks, part))
                images = index_tar(joined(source.images, part))
            except DataError:
                continue
            yield from (f"{part}/{key}" if part else key for key in masks if key not in images)


def _of_folder(source: Source, folder: str) -> Iterator[str]:
    assert source.masks is not None
    folders, files = Store(place=source.masks).listing(folder)
    pictures = {_stem(name) for name in Store(place=source.images).listing(folder)[1] if _fillable(name)}
    yield from (name for name in files if _fillable(name) and _stem(name) not in pictures)
    for inner in folders:
        yield from _of_folder(source, inner)


def _fillable(name: str) -> bool:
    return f".{name.rsplit('.', 1)[-1].lower()}" in FILLABLE if "." in name else False


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]
