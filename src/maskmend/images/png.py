"""Colour chunks of PNG files that other formats lack: cICP, sRGB, gAMA and cHRM.

Like a colour profile they determine how pixels are displayed (PNG specification, third edition, 4.3 and
11.3.2, which also says that the first one of cICP, a profile, sRGB and gAMA takes effect).
"""

import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image

from maskmend.images.exif import DAMAGED

Chunks = Mapping[str, bytes]
"""The content of chunks by their names."""

_SCALE = 100_000
"""In a chunk's whole numbers."""
_GAMMA = 45_455
"""Of sRGB, as gAMA has it."""
_TOLERANCE = 0.05
_SRGB_CODES = bytes([1, 13])
"""Primaries and transfer of sRGB in cICP (ITU-T H.273)."""


def read_colour(image: Image.Image, file: Any) -> Chunks:
    """The chunks of an image; `file` is that of a PNG, as long as it is open."""
    info, chunks = image.info, {}
    try:
        if "srgb" in info:
            chunks["sRGB"] = struct.pack(">B", info["srgb"])
        if "gamma" in info:
            chunks["gAMA"] = struct.pack(">I", round(info["gamma"] * _SCALE))
        if "chromaticity" in info:
            chunks["cHRM"] = struct.pack(">8I", *(round(number * _SCALE) for number in info["chromaticity"]))
    except DAMAGED:
        chunks = {}
    if image.format in ("AVIF", "HEIF") and not info.get("icc_profile") and info.get("cicp"):
        chunks["cICP"] = info["cicp"]  # which those store in their own way (`containers`)
    # The one that the imaging library does not read.
    if file is not None and (codes := _codes(file)):
        chunks["cICP"] = codes
    return chunks


def unlike_srgb(chunks: Chunks, *, profile: bool) -> str | None:
    """The chunk that shows that the colours are not sRGB; None if a profile does too."""
    if profile:
        return None
    if "cICP" in chunks:
        return None if chunks["cICP"][:2] == _SRGB_CODES else "cICP"
    if "sRGB" in chunks or "gAMA" not in chunks:
        return None
    gamma = struct.unpack(">I", chunks["gAMA"])[0]
    return "gAMA" if gamma and abs(gamma / _GAMMA - 1) > _TOLERANCE else None


def _codes(file: Any) -> bytes:
    """The content of cICP, which precedes the pixels; empty without one."""
    here = file.tell()
    try:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"IDAT":
                break
            if name == b"cICP" and length == 4:
                return file.read(4)
            file.seek(length + 4, 1)
        return b""
    finally:
        file.seek(here)
