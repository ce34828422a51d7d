"""Metadata of a picture: colour profile and chunks, EXIF, XMP, resolution and texts.

The orientation is applied to the pixels and reset in EXIF (`exif`) and XMP. Thumbnails, which would show what
was removed, are deleted from both.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import Image, PngImagePlugin

from maskmend.images.exif import DAMAGED, RESOLUTION, for_tiff, upright_exif
from maskmend.images.pillow import quiet
from maskmend.images.png import Chunks

COMMENT = "Comment"
"""The keyword under which a PNG holds what is a comment in a JPEG."""

_XMP_IN_PNG = "XML:com.adobe.xmp"
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[1-8]")
_XMP_THUMBNAILS = re.compile(rb"<((?:[^\s<>/:=\"']+:)?Thumbnails)(?=[\s/>])(\s*/>)?")
"""The start of the element, and the end of one that is empty. Its prefix is xmp or xap as a rule, but may be
any."""
_XMP_THUMBNAILS_END = re.compile(rb"</((?:[^\s<>/:=\"']+:)?Thumbnails)\s*>")
_XMP_SIZES = (
    re.compile(rb"((?:tiff:ImageLength|exif:PixelYDimension)\s*(?:=\s*[\"']|>)\s*)[0-9]+"),
    re.compile(rb"((?:tiff:ImageWidth|exif:PixelXDimension)\s*(?:=\s*[\"']|>)\s*)[0-9]+"),
)
"""Patterns of the height and the width."""
_TIFF_XMP = 700
_LARGEST_SEGMENT = 65_000
"""Bytes that a JPEG's segment holds, its head apart."""
_LONGEST_EXIF = 65_533
"""Bytes of it that a JPEG's segment holds."""
_LONGEST = 1 << 20
"""Bytes of XMP, and characters of all texts, that are kept."""


class Metadata(NamedTuple):
    """Fields of the same names as `picture.Picture`'s, which explains them."""

    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    dpi: tuple[float, float] | None
    texts: Mapping[str, str]
    colour: Chunks


def read_metadata(image: Image.Image, orientation: int, colour: Chunks) -> Metadata:
    """Of an image that is decoded, whose pixels were turned from `orientation`; `colour` was read before."""
    with quiet():
        return Metadata(
            icc=image.info.get("icc_profile") or None,
            exif=upright_exif(image, orientation),
            xmp=_upright_xmp(image),
            dpi=_dpi(image, turned=orientation >= 5),
            texts=_texts(image),
            colour=colour,
        )


def save_options(metadata: Metadata, kind: str) -> dict[str, Any]:
    """The options by which a PNG, JPEG, WEBP or TIFF stores them, as far as the format can."""
    options: dict[str, Any] = {}
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.exif and (kind != "JPEG" or len(metadata.exif) <= _LONGEST_EXIF):
        options["exif"] = metadata.exif
    if metadata.dpi and kind != "WEBP":
        options["dpi"] = metadata.dpi
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for name, content in metadata.colour.items():
            chunks.add(name.encode(), content)
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
        with quiet():
            tags = for_tiff(metadata.exif)
        if metadata.xmp:
            tags[_TIFF_XMP] = metadata.xmp
        options["exif"] = tags if len(tags) else b""
    return options


def resized_xmp(packet: bytes | None, height: int, width: int) -> bytes | None:
    """The XMP packet with the sizes in it replaced by that of the extended picture."""
    for pattern, length in zip(_XMP_SIZES, (height, width), strict=True):
        packet = None if packet is None else pattern.sub(rb"\g<1>%d" % length, packet)
    return packet


def _upright_xmp(image: Image.Image) -> bytes | None:
    packet = image.info.get("xmp")
    if isinstance(packet, str):
        packet = packet.encode()
    if not isinstance(packet, bytes) or not 0 < len(packet) <= _LONGEST:
        return None
    if b"\0" in packet:  # UTF-16, in which nothing would be found below
        return None
    return _without_thumbnails(_XMP_ORIENTATION.sub(rb"\g<1>1", packet))


def _without_thumbnails(packet: bytes) -> bytes | None:
    """None where one begins and does not end. In time that grows with the packet's length, not its square."""
    kept, at = [], 0
    while (opening := _XMP_THUMBNAILS.search(packet, at)) is not None:
        end, empty = opening.end(), opening[2] is not None
        kept.append(packet[at : end if empty else opening.start()])
        if not empty:
            closings = _XMP_THUMBNAILS_END.finditer(packet, end)
            end = next((closing.end() for closing in closings if closing[1] == opening[1]), 0)
            if not end:
                return None
        at = end
    return b"".join([*kept, packet[at:]])


def _dpi(image: Image.Image, *, turned: bool) -> tuple[float, float] | None:
    try:
        unsaid = image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2)
        if unsaid and RESOLUTION not in image.getexif():
            return None  # what the imaging library reports then is a guess
        across, down = (float(number) for number in image.info["dpi"])
    except DAMAGED:
        return None
    if not (1 <= across <= 65535 and 1 <= down <= 65535):
        return None
    return (down, across) if turned else (across, down)


def _texts(image: Image.Image) -> dict[str, str]:
    texts: dict[str, str] = {}
    if image.format == "PNG":
        for keyword, text in getattr(image, "text", {}).items():
            # Profiles that ImageMagick writes as text would duplicate our own EXIF and XMP.
            if keyword != _XMP_IN_PNG and not keyword.startswith("Raw profile type "):
                texts[str(keyword)] = str(text)
    elif isinstance(comment := image.info.get("comment"), bytes):
        try:
            texts[COMMENT] = comment.decode()
        except UnicodeDecodeError:
            texts[COMMENT] = comment.decode("latin-1")
    # A few compressed kilobytes unfold to megabytes, which every result would carry.
    return texts if sum(map(len, texts.values())) <= _LONGEST else {}
