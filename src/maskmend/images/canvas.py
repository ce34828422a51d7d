"""Outpainting: a larger canvas around a picture, and the mask of the new area.

    picture (H, W), left=200, right=10 % ─► picture (H, W + 200 + W / 10), mask: True beside it

Pixels and metadata of the picture are unchanged, except for the size given in EXIF and XMP, which becomes
that of the canvas.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from maskmend.config import nearest
from maskmend.errors import ConfigError, ImageSizeError, MaskError
from maskmend.images.exif import resized_exif
from maskmend.images.metadata import resized_xmp
from maskmend.images.opening import MAX_PIXELS
from maskmend.images.picture import Picture

SIDES = ("left", "right", "top", "bottom")
Length = int | str
"""Pixels, as 200 or "200", or a share of the picture's width or height, as "10%"."""
EXAMPLE = "such as left=200,right=10%"
_NUMBER = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(%?)", re.ASCII)


@dataclass(frozen=True)
class Margins:
    """Number of pixels added on each side."""

    left: int
    right: int
    top: int
    bottom: int


def read_extension(text: str) -> dict[str, Length]:
    """`left=200,right=10%` as a dictionary, as `extend_canvas` takes it. Raises ConfigError."""
    lengths: dict[str, Length] = {}
    for part in text.split(","):
        side, equals, length = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ConfigError(f"extend {text[:80]!r}: write SIDE=LENGTH, {EXAMPLE}")
        if side in lengths:
            raise ConfigError(f"extend {text[:80]!r}: {side} is given twice")
        lengths[side] = length
    return lengths


def margins_of(height: int, width: int, lengths: Mapping[str, Length]) -> Margins:
    """The lengths in pixels, of a picture of this size; a share is rounded to the nearest pixel.

    Raises ConfigError for an unknown side, an invalid length, and if all lengths are zero.
    """
    pixels = dict.fromkeys(SIDES, 0)
    for side, length in lengths.items():
        if side not in SIDES:
            raise ConfigError(f"extend has no side {str(side)[:40]!r}{nearest(str(side)[:40], SIDES)}")
        number = None if isinstance(length, bool) else _NUMBER.fullmatch(str(length).strip())
        if number is None or (not number[2] and "." in number[1]):
            raise ConfigError(
                f"extend {side}={str(length)[:40]}: give pixels, 0 or more, or percent, {EXAMPLE}"
            )
        whole = width if side in ("left", "right") else height
        pixels[side] = round(float(number[1]) * whole / 100) if number[2] else int(number[1])
    if not any(pixels.values()):
        raise ConfigError(f"extend adds no pixel to {width} x {height}: give a length above 0, {EXAMPLE}")
    return Margins(**pixels)


def extended_size(height: int, width: int, margins: Margins, *, max_pixels: int) -> tuple[int, int]:
    """The canvas' height and width. Raises ImageSizeError for one of more than `max_pixels`."""
    tall, wide = height + margins.top + margins.bottom, width + margins.left + margins.right
    if tall * wide > max_pixels:
        raise ImageSizeError(
            f"extended, the image has {wide} x {tall} = {tall * wide / 1e6:.1f} Mpx, more than the limit of "
            f"{max_pixels / 1e6:g} Mpx: extend it less, or scale it down first, or raise --max-megapixels "
            "(in Python: max_pixels of extend_canvas)."
        )
    return tall, wide


def extend_canvas(
    picture: Picture,
    lengths: Mapping[str, Length] | str,
    *,
    mask: Bool[np.ndarray, "H W"] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Picture, Bool[np.ndarray, "h w"]]:
    """The picture on a larger canvas, and the mask that is True where the canvas is new.

    Args:
        lengths: by how much on which side: `{"left": 200, "right": "10%"}`, or `"left=200,right=10%"`. Sides
            are left, right, top and bottom; lengths are pixels or percent of the width (height).
        mask: a hole in the picture itself, to be filled too.
        max_pixels: of the canvas, checked before there is one.

    New pixels are black, and transparent if the picture has alpha: a fill makes them opaque.

    Raises ConfigError, ImageSizeError; MaskError for a mask of another size.
    """
    height, width = picture.pixels.shape[:2]
    given = read_extension(lengths) if isinstance(lengths, str) else lengths
    margins = margins_of(height, width, given)
    if mask is not None and mask.shape != (height, width):
        raise MaskError(f"the mask has shape {mask.shape}: give the image's, {(height, width)}.")
    size = extended_size(height, width, margins, max_pixels=max_pixels)
    here = (slice(margins.top, margins.top + height), slice(margins.left, margins.left + width))
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[here] = picture.pixels
    alpha = None
    if picture.alpha is not None:
        alpha = np.zeros(size, np.uint8)
        alpha[here] = picture.alpha
    hole = np.ones(size, dtype=bool)
    hole[here] = False if mask is None else mask
    exif, xmp = resized_exif(picture.exif, *size), resized_xmp(picture.xmp, *size)
    return replace(picture, pixels=pixels, alpha=alpha, exif=exif, xmp=xmp), hole
