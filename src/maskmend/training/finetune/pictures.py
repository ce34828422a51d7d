"""Prepares a folder of pictures for fine-tuning: read once, split once, stored beside the runs.

    folder ─ drop copies, what is unreadable or too small ─► order by content ─► validation.tar, training.tar

Pictures are sorted by the SHA-256 of their bytes, so the split does not depend on names or dates. They are
stored as PNG at the size used for training, so that a resumed run needs neither the original folder nor the
time to decode it again.
"""

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from maskmend.errors import DataError, OutputError
from maskmend.images.listing import TRAINABLE, Entry, list_images
from maskmend.images.opening import READABLE
from maskmend.progress import Log
from maskmend.storage.temporary import written_whole
from maskmend.training.dataset import decode

FEWEST = 10
"""Minimum number of pictures."""
HELD_OUT_SHARE = 0.1
MOST_HELD_OUT = 200
SCALES = 4
"""Pictures are stored with a shorter side of this many times the model's view: crops show 1 to 1/4 of
that."""
MESSAGE_EVERY = 15.0
"""Seconds between progress messages."""
ENLARGED = 0.25
"""Share of the pictures that may be smaller than that, and are enlarged."""


@dataclass(frozen=True, kw_only=True)
class PictureCounts:
    """What was made of a folder."""

    training: int
    validation: int
    side: int
    """Shorter side of the pictures as they are kept, in pixels."""
    skipped: int
    """Files that are unreadable or too small."""
    copies: int
    """Files with the same content as another."""
    listing: str
    """SHA-256 over names and sizes of the files found."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    entry: Entry
    digest: bytes
    shorter: int


@dataclass(frozen=True, kw_only=True)
class Split:
    """The split into training and validation pictures; none is decoded yet."""

    training: list[_Found]
    validation: list[_Found]
    counts: PictureCounts


def training_file(folder: Path) -> Path:
    return folder / "training.tar"


def validation_file(folder: Path) -> Path:
    return folder / "validation.tar"


def listing_hash(source: Path) -> str:
    """SHA-256 over the names and sizes of the pictures in a folder or tar file, without decoding."""
    digest = hashlib.sha256()
    for entry in list_images(source, lambda name, reason: None, TRAINABLE):
        digest.update(f"{entry.name}\0{_size(entry)}\0".encode())
    return digest.hexdigest()


def split_pictures(source: Path, resolution: int, log: Log) -> Split:
    """Reads the content and size of every picture once.

    Args:
        source: a folder, searched recursively, a tar file, or a folder of tar files.
        resolution: side of the model's view in pixels; smaller pictures are skipped.
        log: called with a message for each file that is skipped.

    Raises DataError if fewer than `FEWEST` pictures are left.
    """
    skipped = 0

    def skip(name: str, reason: str) -> None:
        nonlocal skipped
        skipped += 1
        log(f"skipped {name}: {reason}")

    listing = listing_hash(source)
    entries = list(list_images(source, skip, TRAINABLE))
    if not entries:
        raise DataError(
            f"no images in {source}: expected {', '.join(sorted(TRAINABLE))} files or tar files of them"
        )
    found: dict[bytes, _Found] = {}
    copies = 0
    with ThreadPoolExecutor() as pool:
        for entry, inspected in zip(entries, pool.map(_inspect, entries), strict=True):
            if isinstance(inspected, str):
                skip(entry.name, inspected)
            elif inspected.shorter < resolution:
                skip(entry.name, f"{inspected.shorter} pixels across, the model sees {resolution}")
            elif inspected.digest in found:
                copies += 1
            else:
                found[inspected.digest] = inspected
    if len(found) < FEWEST:
        raise DataError(_too_few(source, len(found), skipped, copies))
    ordered = [found[digest] for digest in sorted(found)]
    shorter = np.array([picture.shorter for picture in ordered])
    side = int(np.clip(np.quantile(shorter, ENLARGED, method="lower"), resolution, SCALES * resolution))
    held_out = min(MOST_HELD_OUT, max(1, round(len(ordered) * HELD_OUT_SHARE)))
    counts = PictureCounts(
        training=len(ordered) - held_out,
        validation=held_out,
        side=side,
        skipped=skipped,
        copies=copies,
        listing=listing,
    )
    return Split(training=ordered[held_out:], validation=ordered[:held_out], counts=counts)


def keep_pictures(pictures: Sequence[_Found], file: Path, side: int, log: Log) -> int:
    """Writes pictures into a tar file atomically; returns how many could be decoded.

    `log` is called for pictures that could not be decoded, and with progress messages. Raises DataError if
    none could be decoded, OutputError if the file cannot be written.
    """
    written = 0
    last_message = time.monotonic()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as temporary:
            with ThreadPoolExecutor() as pool, temporary.open("xb") as opened:
                with tarfile.open(fileobj=opened, mode="w") as archive:
                    pngs = pool.map(lambda picture: _png(picture, side), pictures)
                    for number, (picture, png) in enumerate(zip(pictures, pngs, strict=True)):
                        if isinstance(png, str):
                            log(f"skipped {picture.entry.name}: {png}")
                            continue
                        about = tarfile.TarInfo(f"{written:06d}.png")
                        about.size = len(png)
                        archive.addfile(about, io.BytesIO(png))
                        written += 1
                        if time.monotonic() > last_message + MESSAGE_EVERY:
                            last_message = time.monotonic()
                            log(f"picture {number + 1} of {len(pictures)}")
                opened.flush()
                os.fsync(opened.fileno())
            if written == 0:
                raise DataError(f"none of {len(pictures)} pictures could be decoded: give others")
    except OSError as error:
        raise OutputError(
            f"cannot write {file} ({error.strerror or error}): make room, or choose another --output"
        ) from error
    return written


def _too_few(source: Path, count: int, skipped: int, copies: int) -> str:
    others = [f"{skipped} unreadable or too small"] * (skipped > 0) + [f"{copies} copies"] * (copies > 0)
    beside_them = f" ({', '.join(others)})" if others else ""
    return (
        f"{count} usable picture{'' if count == 1 else 's'} in {source}{beside_them}: give at least "
        f"{FEWEST}, better some hundreds, as some of them are held out"
    )


def _size(entry: Entry) -> int:
    return entry.size if entry.offset >= 0 else entry.path.stat().st_size


def _inspect(entry: Entry) -> _Found | str:
    """Content and size of a picture, or why it cannot be used; its pixels are not decoded."""
    try:
        data = entry.read()
        with Image.open(io.BytesIO(data), formats=READABLE) as image:
            shorter = min(image.size)
    except UnidentifiedImageError:
        return "not a picture"
    except Exception as error:  # Pillow can raise almost anything for a damaged file
        return _one_line(error)
    return _Found(entry=entry, digest=hashlib.sha256(data).digest(), shorter=shorter)


def _png(picture: _Found, side: int) -> bytes | str:
    try:
        pixels = decode(picture.entry.read(), side)
    except Exception as error:  # as above
        return _one_line(error)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
