"""Fills a stream of pictures in batches: as many at a time as together make a batch of windows.

A large picture is a batch of its own, so that it and the small ones do not wait for each other. Only the
pictures of the current batch are in memory. A picture that cannot be filled yields an outcome too.
"""

import errno
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from maskmend.bulk.entries import seed_of
from maskmend.bulk.job import Filling
from maskmend.errors import ConfigError, DataError, ImageError
from maskmend.fill.context_box import cut_picture, cut_to_box, put_back
from maskmend.fill.result import Inpainted, joined_notes
from maskmend.fill.windows import FULLEST, FULLEST_GUESSED, lay_windows
from maskmend.images.picture import Picture
from maskmend.images.writing import WRITABLE, encode_picture
from maskmend.pipeline import InpaintPipeline

WINDOWS = 16
"""Windows of the pictures that are filled together, equal to the batch size of decoding."""
PIXELS = 64_000_000
"""Maximum total pixels in memory (but at least one picture)."""


@runtime_checkable
class Readable(Protocol):
    def read(self) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Item:
    """A picture to fill."""

    key: str
    """Determines its seed."""
    image: Readable | None
    mask: Readable | None
    guide: Readable | None = None
    suffix: str = ""
    trouble: str | None = None
    note: str | None = None
    """Note on the input, joined to the fill's note."""
    tag: Any = None
    """Opaque value of the caller; returned with the outcome."""


@dataclass(frozen=True, kw_only=True)
class ItemOutcome:
    item: Item
    seed: int
    seconds: float
    windows: int = 0
    content: bytes | None = None
    """The encoded result; None if the picture could not be filled (see `reason`)."""
    suffix: str = ""
    reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Read:
    item: Item
    seed: int
    picture: Picture
    mask: np.ndarray
    guide: Picture | None
    notes: tuple[str, ...]
    windows: int
    seconds: float


def fill_items(pipe: InpaintPipeline, filling: Filling, items: Iterable[Item]) -> Iterator[ItemOutcome]:
    """Yields an outcome for each item, in order of completion.

    Raises ConfigError for errors that affect every picture. Raising OutputError is up to the caller.
    """
    batch: list[_Read] = []
    for item in items:
        one = _read(pipe, filling, item)
        if isinstance(one, ItemOutcome):
            yield one
        elif one.windows > WINDOWS:
            yield from _filled(pipe, filling, [one])
        else:
            pixels = sum(other.mask.size for other in batch)
            if batch and (
                sum(other.windows for other in batch) + one.windows > WINDOWS
                or pixels + one.mask.size > PIXELS
            ):
                yield from _filled(pipe, filling, batch)
                batch = []
            batch.append(one)
    yield from _filled(pipe, filling, batch)


def _read(pipe: InpaintPipeline, filling: Filling, item: Item) -> "_Read | ItemOutcome":
    began, seed = time.perf_counter(), seed_of(item.key, filling.seed)
    preparation = filling.preparation
    try:
        if item.trouble is not None:
            raise DataError(item.trouble)  # noqa: TRY301
        if item.image is None:
            raise DataError("no picture")  # noqa: TRY301
        if item.mask is None and not preparation.needs_no_mask:
            raise DataError("no mask")  # noqa: TRY301
        one = preparation.prepare(
            item.image.read(),
            None if item.mask is None else item.mask.read(),
            None if item.guide is None else item.guide.read(),
        )
        shown = one.mask if filling.context_box is None else one.mask[filling.context_box.slices]
        windows = _window_count(pipe, filling, shown)
    except ConfigError:
        raise  # a setting that is wrong for every file
    except Exception as error:  # libraries can raise anything for a damaged file
        return _failed(item, seed, began, error)
    return _Read(
        item=item,
        seed=seed,
        picture=one.picture,
        mask=one.mask,
        guide=one.guide,
        notes=(*one.notes, *([] if item.note is None else [item.note])),
        windows=windows,
        seconds=time.perf_counter() - began,
    )


def _window_count(pipe: InpaintPipeline, filling: Filling, mask: np.ndarray) -> int:
    settings = pipe.defaults.changed(**filling.settings)
    fullest = FULLEST_GUESSED if pipe.transformer.config.guesses else FULLEST
    windows = lay_windows(
        mask, pipe.resolution, context=settings.context, most=settings.windows, fullest=fullest
    )
    return len(windows)


def _filled(pipe: InpaintPipeline, filling: Filling, batch: Sequence[_Read]) -> Iterator[ItemOutcome]:
    if not batch:
        return
    began = time.perf_counter()
    try:
        results = _results(pipe, filling, batch)
    except ConfigError:
        raise
    except Exception as error:
        if len(batch) > 1:  # only one of them is bad: fill them one by one
            for one in batch:
                yield from _filled(pipe, filling, [one])
        else:
            yield _failed(batch[0].item, batch[0].seed, began, error)
        return
    share = (time.perf_counter() - began) / len(batch)
    for one, result in zip(batch, results, strict=True):
        began = time.perf_counter()
        try:
            suffix = filling.suffix or _own_suffix(one.item.suffix, one.picture)
            content = _encoded(result.pictures[0], suffix, filling.quality)
        except Exception as error:
            yield _failed(one.item, one.seed, began, error)
            continue
        converted = f"converted: {', '.join(result.converted)}" if result.converted else None
        yield ItemOutcome(
            item=one.item,
            seed=one.seed,
            seconds=one.seconds + share + time.perf_counter() - began,
            windows=one.windows,
            content=content,
            suffix=suffix,
            note=joined_notes(*one.notes, converted, result.note),
        )


def _results(pipe: InpaintPipeline, filling: Filling, batch: Sequence[_Read]) -> list[Inpainted]:
    box = filling.context_box
    guides = [one.guide for one in batch]
    shown = [(one.picture, one.mask) for one in batch]
    if box is not None:
        guides = [None if guide is None else cut_picture(guide, box) for guide in guides]
        shown = [cut_to_box(picture, mask, box) for picture, mask in shown]
    results = pipe(
        [picture for picture, _ in shown],
        [mask for _, mask in shown],
        guide=guides if any(guide is not None for guide in guides) else None,
        seed=[one.seed for one in batch],
        **filling.settings,
    )
    if box is None:
        return results
    pairs = zip(results, batch, strict=True)
    return [put_back(result, one.picture, one.mask, box) for result, one in pairs]


def _own_suffix(suffix: str, picture: Picture) -> str:
    """The picture's own format, if it can be written."""
    if suffix in WRITABLE:
        return suffix
    kinds = {kind: name for name, kind in reversed(WRITABLE.items())}
    return ".png" if suffix else kinds.get(picture.format or "", ".png")


def _encoded(picture: Picture, suffix: str, quality: int) -> bytes:
    kind = WRITABLE[suffix]
    if kind == "JPEG" and picture.alpha is not None:
        raise ImageError("JPEG holds no alpha channel: choose --format png, webp or tif")
    return encode_picture(picture, kind, quality=quality)


def _failed(item: Item, seed: int, began: float, error: Exception) -> ItemOutcome:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise error
    reason = " ".join(str(error).split()) or type(error).__name__
    return ItemOutcome(item=item, seed=seed, seconds=time.perf_counter() - began, reason=reason)
