"""What a picture's file says beside its pixels: colour profile, EXIF, XMP, resolution and texts.

Read upright: the EXIF orientation, which is applied to the pixels, is reset in place, so that the rest of the
block, maker notes with absolute offsets included, stays byte for byte; the one in XMP likewise.
"""

import re
import struct
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import Image, PngImagePlugin

COMMENT = "Comment"
"""The keyword under which PNG has what is a JPEG's comment."""
ORIENTATION = 0x0112

_XMP_IN_PNG = "XML:com.adobe.xmp"
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[1-8]")
# The tags of a TIFF's main directory that describe the picture, not the layout of the file.
_TIFF_DESCRIPTIVE = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
_TIFF_DIRECTORIES = (0x8769, 0x8825)
_TIFF_XMP = 700
_LARGEST_SEGMENT = 65_000
"""Bytes that a JPEG's segment holds, its head apart."""
_LONGEST = 1 << 20
"""Bytes of XMP, and characters of all texts, that are kept."""
_RESOLUTION = 0x011A
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError)


class Metadata(NamedTuple):
    """Fields of the same names as `images.Picture`'s, which explains them."""

    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    dpi: tuple[float, float] | None
    texts: Mapping[str, str]


def read_metadata(image: Image.Image, orientation: int) -> Metadata:
    """Of an image that is decoded, whose pixels were turned from `orientation`."""
    return Metadata(
        icc=image.info.get("icc_profile") or None,
        exif=_upright_exif(image, orientation),
        xmp=_upright_xmp(image),
        dpi=_dpi(image, turned=orientation >= 5),
        texts=_texts(image),
    )


def save_options(metadata: Metadata, kind: str) -> dict[str, Any]:
    """The options with which a PNG, JPEG, WEBP or TIFF takes them, as far as it has a place for them."""
    options: dict[str, Any] = {}
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.exif:
        options["exif"] = metadata.exif
    if metadata.dpi and kind != "WEBP":
        options["dpi"] = metadata.dpi
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for keyword, text in metadata.texts.items():
            (chunks.add_text if text.isascii() else chunks.add_itxt)(keyword, text)
        if metadata.xmp:
            chunks.add_itxt(_XMP_IN_PNG, metadata.xmp.decode("utf-8", "replace"))
        options["pnginfo"] = chunks
    elif kind == "JPEG":
        comment = metadata.texts.get(COMMENT, "").encode()
        if 0 < len(comment) <= _LARGEST_SEGMENT:
            options["comment"] = comment
        if metadata.xmp and len(metadata.xmp) <= _LARGEST_SEGMENT:
            options["xmp"] = metadata.xmp
    elif kind == "WEBP":
        options["xmp"] = metadata.xmp or b""
    elif metadata.xmp or metadata.exif:
        # A TIFF has both in its own directory, where garbled EXIF has no place.
        tags = Image.Exif()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                tags.load(metadata.exif or b"")
                tags.tobytes()
            except DAMAGED:
                tags = Image.Exif()
        if metadata.xmp:
            tags[_TIFF_XMP] = metadata.xmp
        options["exif"] = tags.tobytes() if len(tags) else b""
    return options


def _upright_xmp(image: Image.Image) -> bytes | None:
    packet = image.info.get("xmp")
    if isinstance(packet, str):
        packet = packet.encode()
    if isinstance(packet, bytes) and len(packet) > _LONGEST:
        return None
    return _XMP_ORIENTATION.sub(rb"\g<1>1", packet) if isinstance(packet, bytes) and packet else None


def _dpi(image: Image.Image, *, turned: bool) -> tuple[float, float] | None:
    try:
        unsaid = image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2)
        if unsaid and _RESOLUTION not in image.getexif():
            return None  # what the imaging library says then is a guess
        across, down = (float(number) for number in image.info["dpi"])
    except (*DAMAGED, ZeroDivisionError):
        return None
    if not (1 <= across <= 65535 and 1 <= down <= 65535):
        return None
    return (down, across) if turned else (across, down)


def _texts(image: Image.Image) -> dict[str, str]:
    texts: dict[str, str] = {}
    if image.format == "PNG":
        for keyword, text in getattr(image, "text", {}).items():
            # Profiles that ImageMagick writes as text would speak beside our own EXIF and XMP.
            if keyword != _XMP_IN_PNG and not keyword.startswith("Raw profile type "):
                texts[str(keyword)] = str(text)
    elif isinstance(comment := image.info.get("comment"), bytes):
        try:
            texts[COMMENT] = comment.decode()
        except UnicodeDecodeError:
            texts[COMMENT] = comment.decode("latin-1")
    # A few compressed kilobytes unfold to megabytes, which every result would carry.
    return texts if sum(map(len, texts.values())) <= _LONGEST else {}


def _upright_exif(image: Image.Image, orientation: int) -> bytes | None:
    if image.format == "TIFF":
        kept, tags = Image.Exif(), image.getexif()
        for tag in _TIFF_DESCRIPTIVE:
            if tag in tags:
                kept[tag] = tags[tag]
        for tag in _TIFF_DIRECTORIES:
            if tag in tags:
                kept.get_ifd(tag).update(tags.get_ifd(tag))
                kept[tag] = dict(tags.get_ifd(tag))
        return kept.tobytes() if len(kept) else None
    block = image.info.get("exif")
    if not block:
        return None
    block = bytearray(block if block.startswith(b"Exif\0\0") else b"Exif\0\0" + block)
    if orientation != 1:
        try:
            _reset_orientation(block)
        except struct.error:
            # A tag that says "turn me" on an upright image is worse than no EXIF.
            return None
    return bytes(block)


def _reset_orientation(block: bytearray) -> None:
    """Sets the orientation entry of the first directory (TIFF 6.0, section 2) to 1, in place."""
    start = len(b"Exif\0\0")
    order = "<" if block[start : start + 2] == b"II" else ">"
    directory = start + struct.unpack_from(order + "I", block, start + 4)[0]
    for i in range(struct.unpack_from(order + "H", block, directory)[0]):
        entry = directory + 2 + 12 * i
        if struct.unpack_from(order + "H", block, entry)[0] == ORIENTATION:
            struct.pack_into(order + "H", block, entry + 8, 1)
