"""AVIF and HEIC: recognises the format, and reads bit depth and colour of the main picture.

Both are nested boxes (ISO/IEC 14496-12, 23008-12). The imaging libraries silently reduce deeper files to 8
bits and ignore the colours given in the box "colr", so the file itself is parsed.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import Image

from maskmend.errors import ImageError, pip_install
from maskmend.images.exif import DAMAGED

HEAD = 4096
"""Number of bytes from which the format is recognised."""
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_LARGEST_META = 16 << 20
"""Bytes of the box that describes the pictures; in a large one of many tiles it has some hundred thousand."""
_LIKE_SRGB = ((1, 2), (1, 2, 6, 13))
"""Primaries and transfer functions (ITU-T H.273) that are shown as those of sRGB: its own, those of ordinary
video, and unspecified ones."""


class MainPicture(NamedTuple):
    """Bit depth and colour of a file's primary image."""

    depth: int
    """Bits a channel."""
    codes: bytes
    """Its colour space as in a PNG's cICP, where it is not sRGB; else empty."""


def container_of(head: bytes) -> str | None:
    """ "AVIF" or "HEIC" for the first `HEAD` bytes of such a file, None for any other."""
    if head[4:8] != b"ftyp":
        return None
    length = min(struct.unpack(">I", head[:4])[0], len(head))
    brands = {head[at : at + 4] for at in (8, *range(16, length - 3, 4))}
    return "AVIF" if brands & _AVIF else "HEIC" if brands & _HEIC else None


def open_heic(file: Any) -> Image.Image:
    """The main picture of a HEIC file, not yet decoded. Raises ImageError where the library is not there."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ImageError(
            f"it is a HEIC file, which the extra heif reads: {pip_install('heif')}, or save it as JPEG or PNG"
        ) from None
    return HeifImageFile(file)


def main_picture(file: Any) -> MainPicture:
    """Reads the box "meta". A file that cannot be understood is taken for one of 8 bits: whether it is
    damaged is found out when it is decoded.
    """
    try:
        found = _properties(_meta(file))
    except DAMAGED:
        return MainPicture(8, b"")
    depth, codes = 8, b""
    for kind, body in found:
        if kind == b"pixi":
            depth = max(depth, *body[5 : 5 + body[4]])
        elif kind == b"av1C":
            depth = max(depth, 12 if body[2] & 0x20 else 10 if body[2] & 0x40 else 8)
        elif kind == b"hvcC":
            depth = max(depth, 8 + (body[17] & 7), 8 + (body[18] & 7))
        elif kind == b"colr" and body[:4] == b"nclx":
            primaries, transfer = struct.unpack(">HH", body[4:8])
            if primaries not in _LIKE_SRGB[0] or transfer not in _LIKE_SRGB[1]:
                codes = bytes([primaries & 255, transfer & 255, 0, 1])  # RGB, full range: as it is decoded
    return MainPicture(depth, codes)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", content[at + 8 : at + 16])[0], 16
        end = len(content) if size == 0 else at + size
        if end < at + head:
            return
        yield kind, content[at + head : end]
        at = end


def _meta(file: Any) -> bytes:
    """The content of the box "meta"; empty without one."""
    file.seek(0)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        left = size - 8
        if size == 1:
            left = struct.unpack(">Q", file.read(8))[0] - 16
        if kind == b"meta":
            return file.read(min(left, _LARGEST_META))[4:] if left > 0 else b""
        if left < 0:
            break
        file.seek(left, 1)
    return b""


def _properties(meta: bytes) -> list[tuple[bytes, bytes]]:
    """The boxes of the main picture; for a grid, those of all tiles, which have its depth."""
    boxes = dict(_boxes(meta))
    parts = dict(_boxes(boxes.get(b"iprp", b"")))
    everything = list(_boxes(parts.get(b"ipco", b"")))
    main = boxes.get(b"pitm", b"")
    if not main or b"ipma" not in parts:
        return everything
    number = int.from_bytes(main[4:6] if main[0] == 0 else main[4:8])
    own = [everything[i - 1] for i in _associated(parts[b"ipma"], number) if 0 < i <= len(everything)]
    if {kind for kind, _ in own} & {b"pixi", b"av1C", b"hvcC"}:
        return own
    return own + [box for box in everything if box[0] in (b"av1C", b"hvcC")]


def _associated(content: bytes, number: int) -> list[int]:
    """Which boxes, counted from 1, the item `number` has in "ipma"."""
    version, wide = content[0], content[3] & 1
    count, at = struct.unpack(">I", content[4:8])[0], 8
    for _ in range(count):
        size = 2 if version < 1 else 4
        item = int.from_bytes(content[at : at + size])
        entries = content[at + size]
        at += size + 1
        step = 2 if wide else 1
        if item == number:
            places = (content[at + step * i : at + step * (i + 1)] for i in range(entries))
            return [int.from_bytes(place) & (0x7FFF if wide else 0x7F) for place in places]
        at += step * entries
    return []
