"""Limits on the structure of an image file, checked before it is decoded.

A file of a few megabytes can keep the imaging library busy for an hour, and the lock that all decoding shares
(`pillow.quiet`) with it: a progressive JPEG of ten thousand scans, a TIFF whose strips all cover the whole
picture, a GIF with a comment in millions of pieces, a PNG of millions of empty chunks. A TIFF of one pixel
can take gigabytes: for a tile of 16384 x 16384 pixels, or a tag of millions of numbers. No program writes
such files. Damaged files are reported by the library.
"""

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from PIL import Image

from maskmend.errors import ImageError

SCANS = 100
"""Scans of a JPEG; encoders write up to about twenty."""
SEGMENTS = 10_000
"""Segments of a JPEG; the largest colour profile takes 255."""
CHUNKS = 200_000
"""Chunks of a PNG; encoders write one per 8 KiB or more."""
STRIPS = 300_000
"""Strips or tiles of a TIFF; 16 x 16 pixels, the smallest there may be, in a picture of 64 megapixels."""
COVERAGE = 8
"""How many times the strips of a TIFF may cover the picture; separate planes cover it once per channel."""
TILE = 1 << 20
"""Pixels that a TIFF's tile may have in a smaller picture; usual are 64 x 64 to 1024 x 1024."""
NUMBERS = 10_000
"""Fractions in a tag of a TIFF, and numbers in its EXIF; each becomes an object."""
GIF_EXTRAS = 1 << 20
"""Bytes of comments and other extensions of a GIF."""
GIF_BLOCKS = 1 << 20
"""Blocks of a GIF's first picture; encoders write one per 255 bytes."""

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SCAN, _END = 0xDA, 0xD9
_BARE = (0x01, 0xD8)
"""Markers without a length."""
_OFFSETS = (273, 324)
"""Tags of the offsets of a TIFF's strips and tiles."""
_SIDES, _TILE_SIDES = (256, 257), (322, 323)
"""Tags of the width and height of a TIFF and of its tiles."""
_DIRECTORIES = (0x8769, 0x8825)
"""Tags of the places of its EXIF and GPS directories."""
_INTEROPERABILITY = 0xA005
"""The same in EXIF's own directory."""
_TEXTS = (1, 2, 7)
"""Types that are read as one object: bytes, text, and bytes of unknown meaning."""
_FRACTIONS = (5, 10)
_INTEGERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L", 16: "Q"}
"""Types of integers, as `struct` has them."""


def check_demand(file: Any) -> None:
    """Raises ImageError if the file exceeds one of the limits.

    `file` is open for reading; its position is at the start afterwards.
    """
    file.seek(0)
    start = file.read(16)
    if start[:2] == b"\xff\xd8":
        _check_jpeg(file)
    elif start[:8] == b"\x89PNG\r\n\x1a\n":
        _check_png(file)
    elif start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        _check_tiff(file, start)
    elif start[:6] in (b"GIF87a", b"GIF89a"):
        _check_gif(file)
    file.seek(0)


def check_tiles(image: Image.Image, name: str) -> None:
    """Raises ImageError for an opened image whose strips or tiles cover it many times."""
    boxes = [tile[1] for tile in getattr(image, "tile", ()) if tile[1] is not None]
    covered = sum((right - left) * (lower - upper) for left, upper, right, lower in boxes)
    if covered > COVERAGE * image.width * image.height:
        raise ImageError(f"{name} has strips that cover it {COVERAGE} times and more: save it again.")


def _check_jpeg(file: Any) -> None:
    file.seek(0)
    content = file.read()
    at, scans, segments = 2, 0, 0
    while (found := _MARKER.search(content, at)) is not None:
        kind, at = content[found.start() + 1], found.end()
        if kind == _END:  # what follows is another picture
            return
        segments += 1
        scans += kind == _SCAN
        if scans > SCANS or segments > SEGMENTS:
            what = f"{SCANS} scans" if scans > SCANS else f"{SEGMENTS} segments"
            raise ImageError(f"it is a JPEG of more than {what}: save it again")
        if kind not in _BARE:
            at += max(2, int.from_bytes(content[at : at + 2]))


def _check_png(file: Any) -> None:
    file.seek(8)
    for _ in range(CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        file.seek(int.from_bytes(head[:4]) + 4, 1)
    raise ImageError(f"it is a PNG of more than {CHUNKS} chunks: save it again")


def _check_tiff(file: Any, start: bytes) -> None:
    order, large = "<" if start[:2] == b"II" else ">", start[2:3] == b"+" or start[3:4] == b"+"
    reader = _TiffReader(file, order, large)
    first = struct.unpack_from(f"{order}{'Q' if large else 'L'}", start + bytes(8), 8 if large else 4)[0]
    sides: dict[int, int] = {}
    directories: list[tuple[int, int]] = []
    for tag, kind, count, value in reader.entries(first):
        if tag in _OFFSETS and count > STRIPS:
            raise ImageError(f"it is a TIFF of {count} strips: save it again")
        if reader.numbers(kind, count) > (NUMBERS if kind in _FRACTIONS else STRIPS):
            raise ImageError(f"it is a TIFF of {count} numbers in one tag: save it again")
        if tag in (*_SIDES, *_TILE_SIDES):
            # A tag may come twice; which one counts differs between libraries.
            sides[tag] = max(sides.get(tag, 0), reader.integer(kind, count, value))
        elif tag in _DIRECTORIES:
            directories.append((tag, reader.integer(kind, count, value)))
    tile = sides.get(_TILE_SIDES[0], 0) * sides.get(_TILE_SIDES[1], 0)
    if tile > COVERAGE * max(TILE, sides.get(_SIDES[0], 0) * sides.get(_SIDES[1], 0)):
        raise ImageError("it is a TIFF whose tiles are much larger than the picture: save it again")
    # Of these all tags are read, not only those that mean something here.
    for tag, place in directories:
        numbers = 0
        for inner, kind, count, value in reader.entries(place):
            numbers += reader.numbers(kind, count)
            if tag == _DIRECTORIES[0] and inner == _INTEROPERABILITY:
                directories.append((inner, reader.integer(kind, count, value)))
        if numbers > NUMBERS or len(directories) > len(_DIRECTORIES) + 1:
            raise ImageError(f"it is a TIFF with more than {NUMBERS} numbers in its EXIF: save it again")


class _TiffReader:
    """Directories of a TIFF file. Damage ends a directory early, which the library will report."""

    def __init__(self, file: Any, order: str, large: bool) -> None:
        self.file, self.order = file, order
        self._entry, self._count = (f"{order}HHQ8s", f"{order}Q") if large else (f"{order}HHL4s", f"{order}H")
        self._place = f"{order}{'Q' if large else 'L'}"
        self._length = file.seek(0, 2)

    def entries(self, place: int) -> Iterator[tuple[int, int, int, bytes]]:
        """Tag, type, number of values, and the field of the value or of its place."""
        size = struct.calcsize(self._entry)
        with suppress(struct.error, OSError, ValueError, OverflowError):
            self.file.seek(place)
            (count,) = struct.unpack(self._count, self.file.read(struct.calcsize(self._count)))
            content = self.file.read(size * min(count, 2**16))
            for at in range(0, len(content) - size + 1, size):
                yield struct.unpack_from(self._entry, content, at)

    def numbers(self, kind: int, count: int) -> int:
        """How many numbers are read of an entry; none where the file is too short for them."""
        return 0 if kind in _TEXTS or count > self._length else count

    def integer(self, kind: int, count: int, value: bytes) -> int:
        """The value of an entry of a single integer; 0 for any other."""
        layout = self.order + _INTEGERS.get(kind, "")
        size = struct.calcsize(layout)
        if count != 1 or not size:
            return 0
        with suppress(struct.error, OSError, ValueError, OverflowError):
            if size > len(value):
                self.file.seek(struct.unpack(self._place, value)[0])
                value = self.file.read(size)
            return max(0, struct.unpack_from(layout, value)[0])
        return 0


def _check_gif(file: Any) -> None:
    """Reads up to the second frame, which is as far as we ever look."""
    file.seek(0)
    flags = file.read(13)[10:11]
    file.seek(_colours(flags), 1)
    pictures = blocks = extras = 0
    while pictures < 2:
        kind = file.read(1)
        if kind == b"!":
            file.read(1)
            extras += _skip_blocks(file, GIF_BLOCKS)[1]
        elif kind == b",":
            pictures += 1
            file.seek(_colours(file.read(9)[8:9]) + 1, 1)
            if pictures < 2:
                blocks = _skip_blocks(file, GIF_BLOCKS)[0]
        elif kind != b"\0":  # the end, or damage
            return
        extras += 2  # an empty extension counts too
        if extras > GIF_EXTRAS or blocks > GIF_BLOCKS:
            raise ImageError("it is a GIF with too many comments or blocks: save it again")


def _colours(flags: bytes) -> int:
    """Size of a GIF's colour table in bytes."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _skip_blocks(file: Any, most: int) -> tuple[int, int]:
    """Skips data blocks, at most `most` + 1; returns their number and size in bytes."""
    count = size = 0
    while count <= most and (length := file.read(1)) not in (b"", b"\0"):
        file.seek(length[0], 1)
        count, size = count + 1, size + 1 + length[0]
    return count, size
