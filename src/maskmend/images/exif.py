"""EXIF: the orientation; the block without orientation and thumbnail; conversion to and from a TIFF's tags.

The block is a TIFF file without pixels (TIFF 6.0, section 2; EXIF 2.3, section 4.5). It is edited in place,
so that the rest, including maker notes with absolute offsets, stays byte for byte. Its second directory has a
thumbnail of the original picture, which still shows what was removed; it is deleted.
"""

import re
import struct
from collections.abc import Iterator
from contextlib import suppress

from PIL import Image

ORIENTATION = 0x0112
RESOLUTION = 0x011A
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)
"""What the imaging library raises for malformed files."""

_HEAD = b"Exif\0\0"
_THUMBNAIL = ((513, 514), (273, 279))
"""Tags of the places and the lengths of a thumbnail, as JPEG and as strips."""
_MOST_STRIPS = 4096
"""Of a thumbnail; there are as many as it has rows at most."""
_FIRST_PLACE = 8
"""Length of a TIFF's header in bytes."""
# Tags of a main directory that describe the picture, not the layout of the file. Written to a TIFF, those of
# the layout would be taken for its own, and scramble the pixels.
_DESCRIPTIVE = (
    *(269, 270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 33432),  # names, resolution, date
    *(18246, 18249, 40091, 40092, 40093, 40094, 40095),  # Windows' ratings, titles and key words
)
_DIRECTORIES = (0x8769, 0x8825)  # EXIF's own, GPS
_INTEROPERABILITY = 0xA005
_EXIF = 0x8769
_SIZES = {0x0100: 1, 0x0101: 0}
"""ImageWidth and ImageLength of the main directory, and which of height and width they are."""
_PIXEL_SIZES = {0xA002: 1, 0xA003: 0}
"""PixelXDimension and PixelYDimension of EXIF's own directory, likewise."""
_PROFILE_IN_PNG = "Raw profile type exif"
_LONGEST_PROFILE = 65_533
"""Bytes of a block that came compressed: as many as a JPEG's segment holds, where it was made for."""


class _NoThumbnail(Exception):
    """The thumbnail that the file declares cannot be one."""


def orientation_of(image: Image.Image) -> int:
    """1 (upright) to 8; 1 where it is missing, out of range, of another type or in a garbled block."""
    try:
        return _whole(image.getexif().get(ORIENTATION, 1))
    except DAMAGED:
        return 1  # the orientation is lost, not the picture


def upright_exif(image: Image.Image, orientation: int) -> bytes | None:
    """The block, with its ``Exif\\0\\0`` prefix, of an image whose pixels were turned from `orientation`."""
    if image.format == "TIFF":
        try:
            kept = _descriptive(image.getexif())
            return kept.tobytes() if len(kept) else None
        except DAMAGED:
            return None
    block = image.info.get("exif") or _profile_in_png(image)
    if not isinstance(block, bytes) or not block:
        return None
    content = bytearray(re.sub(rb"^(?:Exif\0\0){1,2}", b"", block))
    try:
        with suppress(struct.error):
            _drop_thumbnail(content)
    except _NoThumbnail:
        return None
    if orientation != 1:
        with suppress(struct.error):
            _reset_orientation(content)
        if not _is_upright(content):
            return None  # a tag that says "turn me" on an upright image is worse than no EXIF
    return _HEAD + bytes(content)


def resized_exif(block: bytes | None, height: int, width: int) -> bytes | None:
    """The EXIF block with the sizes in it replaced by that of the extended picture.

    All other bytes are unchanged, and so is a damaged directory.
    """
    if not block:
        return block
    content = bytearray(block.removeprefix(_HEAD))
    with suppress(struct.error):
        order, first = _first_directory(content)
        _set_sizes(content, order, first, _SIZES, (height, width))
        for entry in list(_entries(content, order, first)):
            tag, kind, count = struct.unpack_from(order + "HHI", content, entry)
            if tag == _EXIF and count == 1 and kind in (4, 13):  # a number, or the place of a directory
                inner = struct.unpack_from(order + "I", content, entry + 8)[0]
                _set_sizes(content, order, inner, _PIXEL_SIZES, (height, width))
    return block[: len(block) - len(content)] + bytes(content)


def for_tiff(block: bytes | None) -> Image.Exif:
    """The descriptive tags and the directories of a block; none of a garbled one."""
    try:
        tags = Image.Exif()
        tags.load(block or b"")
        kept = _descriptive(tags)
        kept.tobytes()
    except DAMAGED:
        return Image.Exif()
    return kept


def _whole(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _is_upright(content: bytearray) -> bool:
    tags = Image.Exif()
    try:
        tags.load(bytes(content))
        return _whole(tags.get(ORIENTATION, 1)) == 1
    except DAMAGED:
        return False


def _descriptive(tags: Image.Exif) -> Image.Exif:
    kept = Image.Exif()
    for tag in _DESCRIPTIVE:
        if tag in tags:
            kept[tag] = tags[tag]
    for tag in _DIRECTORIES:
        if tag in tags:
            directory = dict(tags.get_ifd(tag))
            if _INTEROPERABILITY in directory:
                directory[_INTEROPERABILITY] = dict(tags.get_ifd(_INTEROPERABILITY))
            kept.get_ifd(tag).update(directory)
            kept[tag] = directory
    return kept


def _profile_in_png(image: Image.Image) -> bytes | None:
    """ImageMagick's text of three lines, the name and the length among them, and then hexadecimal ones."""
    text = image.info.get(_PROFILE_IN_PNG)
    if not isinstance(text, str):
        return None
    try:
        block = bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return None
    return block if len(block) <= _LONGEST_PROFILE else None


def _reset_orientation(content: bytearray) -> None:
    order, first = _first_directory(content)
    for entry in _entries(content, order, first):
        tag, kind, count = struct.unpack_from(order + "HHI", content, entry)
        if tag == ORIENTATION and (kind, count) == (3, 1):
            struct.pack_into(order + "H", content, entry + 8, 1)
        elif tag == ORIENTATION:
            struct.pack_into(order + "HIHH", content, entry + 2, 3, 1, 1, 0)


def _set_sizes(
    content: bytearray, order: str, directory: int, tags: dict[int, int], size: tuple[int, int]
) -> None:
    for entry in list(_entries(content, order, directory)):
        tag, kind, count = struct.unpack_from(order + "HHI", content, entry)
        if tag in tags and count == 1 and kind in (3, 4):
            length = size[tags[tag]]
            if kind == 3 and length < 65536:
                struct.pack_into(order + "HH", content, entry + 8, length, 0)
            else:  # a short number has no room for more
                struct.pack_into(order + "HII", content, entry + 2, 4, 1, length)


def _drop_thumbnail(content: bytearray) -> None:
    """Removes the link to the second directory, and blanks the thumbnail's pixels, offset and length, as the
    compressed length depends on what they show.

    The length can still be inferred if other data follows; that data cannot be moved, as offsets point to it.

    Raises _NoThumbnail for one that would take longer to remove than any camera's.
    """
    order, first = _first_directory(content)
    link = first + 2 + 12 * struct.unpack_from(order + "H", content, first)[0]
    second = struct.unpack_from(order + "I", content, link)[0]
    if second == 0:
        return
    struct.pack_into(order + "I", content, link, 0)
    found: dict[int, tuple[int, ...]] = {}
    with suppress(struct.error):
        for entry in _entries(content, order, second):
            tag, _, count = struct.unpack_from(order + "HHI", content, entry)
            if not any(tag in tags for tags in _THUMBNAIL):
                continue
            if tag in found or count > _MOST_STRIPS:
                raise _NoThumbnail
            with suppress(struct.error):  # one garbled entry does not hide the others
                found[tag] = _numbers(content, order, entry)
                _blank(content, order, entry)
    for places, lengths in _THUMBNAIL:
        strips = list(zip(found.get(places, ()), found.get(lengths, ()), strict=False))
        if sum(length for _, length in strips) > 2 * len(content) + _LONGEST_PROFILE:
            raise _NoThumbnail
        for start, length in sorted(strips, reverse=True):  # the last one first: then all of the end goes
            if start >= _FIRST_PLACE and start + length >= len(content):
                del content[start:]
            elif start >= _FIRST_PLACE:
                content[start : start + length] = bytes(length)


def _blank(content: bytearray, order: str, entry: int) -> None:
    """Zeroes an entry, and its numbers where they lie elsewhere."""
    count = len(_numbers(content, order, entry))
    size = count * (2 if struct.unpack_from(order + "H", content, entry + 2)[0] == 3 else 4)
    if size > 4:
        start = struct.unpack_from(order + "I", content, entry + 8)[0]
        if start >= _FIRST_PLACE:
            content[start : start + size] = bytes(size)
    content[entry : entry + 12] = bytes(12)


def _first_directory(content: bytearray) -> tuple[str, int]:
    """The order of bytes, as `struct` writes it, and the place of the directory."""
    order = "<" if content[:2] == b"II" else ">"
    return order, struct.unpack_from(order + "I", content, 4)[0]


def _entries(content: bytearray, order: str, directory: int) -> Iterator[int]:
    """The places of a directory's entries. Raises struct.error where the block has no such directory."""
    for i in range(struct.unpack_from(order + "H", content, directory)[0]):
        yield directory + 2 + 12 * i


def _numbers(content: bytearray, order: str, entry: int) -> tuple[int, ...]:
    """The whole numbers of an entry; none if it holds something else."""
    kind, count = struct.unpack_from(order + "HI", content, entry + 2)
    if kind not in (3, 4):
        return ()
    layout = f"{order}{count}{'H' if kind == 3 else 'I'}"
    inline = struct.calcsize(layout) <= 4
    return struct.unpack_from(
        layout, content, entry + 8 if inline else struct.unpack_from(order + "I", content, entry + 8)[0]
    )
