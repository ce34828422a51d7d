"""Pictures from files and from memory, read without silent loss (`writing` is the way back).

A `Picture` keeps what a fill must preserve: alpha, colour profile, EXIF, XMP, comments, resolution, and
whether the file was greyscale. What cannot be kept faithfully is refused with a remedy rather than flattened,
or converted if the caller allows it (`conversion`): 16-bit depth, CMYK and similar modes, animations.
`opening` opens and decodes files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from maskmend.errors import ImageError
from maskmend.images.conversion import convert_image, frames_of, needs_of, refusal_of
from maskmend.images.metadata import Metadata, read_metadata
from maskmend.images.opening import (  # noqa: F401 - moved
    MAX_PIXELS,
    READABLE,
    bits_per_channel,
    decoded,
    open_file,
    open_image,
)
from maskmend.images.png import Chunks, read_colour
from maskmend.images.tensors import ValueRange, array_from, to_tensor, to_uint8  # noqa: F401 - moved


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """One upright 8-bit image with everything that goes back into its file."""

    pixels: UInt8[np.ndarray, "H W 3"]
    alpha: UInt8[np.ndarray, "H W"] | None = None
    grey: bool = False
    """The source was greyscale: `writing.save_image` writes it as such again (alpha apart)."""
    icc: bytes | None = None
    exif: bytes | None = None
    """The EXIF block with its ``Exif\\0\\0`` prefix, orientation reset to upright."""
    format: str | None = None
    xmp: bytes | None = None
    """The XMP packet, orientation reset to upright."""
    dpi: tuple[float, float] | None = None
    """Pixels an inch, across and down, 1 to 65535."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """A PNG's texts by keyword, a JPEG's under `metadata.COMMENT`."""
    colour: Chunks = field(default_factory=dict)
    """A PNG's colour chunks by name: see `png`."""
    converted: tuple[str, ...] = ()
    """What was converted as the file was read, such as "16 bits a channel to 8"."""

    @property
    def metadata(self) -> Metadata:
        return Metadata(self.icc, self.exif, self.xmp, self.dpi, self.texts, self.colour)


ImageLike = Picture | Image.Image | np.ndarray | Tensor
"""What `picture_from` takes."""


def load_image(path: str | Path, *, max_pixels: int = MAX_PIXELS, convert: bool = False) -> Picture:
    """Reads one image file upright, as 8-bit RGB.

    Raises ImageError if the file is missing, no readable image, truncated, larger than `max_pixels` (checked
    before anything is decoded), or neither grey, RGB, palette nor CMYK. One that is animated or of several
    pages, of 9 to 16 bits a channel, or CMYK is a ConversionNeeded, or with `convert` becomes 8-bit sRGB:
    `Picture.converted` says how.
    """
    with open_image(path, max_pixels=max_pixels, several=True) as image:
        name = f"image {path}"
        return _picture(image, name, frames_of(image, name), convert=convert)


def read_image(content: bytes, *, max_pixels: int = MAX_PIXELS, convert: bool = False) -> Picture:
    """`load_image` for a file's content, such as an upload."""
    with open_image(content, max_pixels=max_pixels, several=True) as image:
        return _picture(image, "the image", frames_of(image, "the image"), convert=convert)


def picture_from(
    image: "Image.Image | np.ndarray | Tensor | Picture",
    value_range: ValueRange | None = None,
    *,
    convert: bool = False,
) -> Picture:
    """A picture from memory: PIL image, uint8 array (H, W[, 1-4]), or tensor ([1,] 1-4, H, W).

    Tensors are uint8, or float with black and white at the two numbers of `value_range`; the 256 levels are
    recovered exactly. Without it a float tensor with a negative number is read as [-1, 1], and one without is
    refused, as its range may equally be 0 to 1. Two and four channels end with alpha. With `convert` a PIL
    image may be anything that `load_image` accepts with it, and an array may be uint16. Raises ImageError for
    anything else; ConfigError for an invalid range.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        try:
            frames = frames_of(image, "image")
        except ImageError:  # such as for a closed GIF: it holds the frame that was loaded
            frames = 1
        return _picture(image, "image", frames, convert=convert)
    if isinstance(image, Tensor):
        return _picture_of(
            array_from(image, value_range), "tensor", tuple(image.shape), "(C, H, W), C 1 to 4"
        )
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"image is a {type(image).__name__}: give a PIL image, an array or a tensor; "
            "maskmend.images.picture.load_image reads a file."
        )
    deep = image.dtype == np.uint16
    if deep and not convert:
        raise ImageError(
            "image array is uint16: give uint8 (0-255), or add convert=True to take its upper 8 bits."
        )
    if not deep and image.dtype != np.uint8:
        raise ImageError(f"image array is {image.dtype}: give uint8 (0-255).")
    levels = (image >> 8).astype(np.uint8) if deep else image
    channels_last = levels[:, :, None] if levels.ndim == 2 else levels
    picture = _picture_of(channels_last, "array", image.shape, "(H, W) or (H, W, 1 to 4)")
    return replace(picture, converted=("16 bits a channel to 8",)) if deep else picture


def _picture_of(image: np.ndarray, kind: str, given: tuple[int, ...], wanted: str) -> Picture:
    """A uint8 array, channels last, as a picture; `given` is the shape that the caller knows."""
    if image.ndim != 3 or image.shape[2] not in (1, 2, 3, 4) or 0 in image.shape:
        raise ImageError(f"image {kind} has shape {given}: give {wanted}.")
    channels = image.shape[2]
    colour = 1 if channels < 3 else 3
    return Picture(
        # A copy: the caller may go on to use the array for something else.
        pixels=np.broadcast_to(image[:, :, :colour], (*image.shape[:2], 3)).copy(),
        alpha=image[:, :, colour].copy() if channels > colour else None,
        grey=colour == 1,
    )


def pil_from(picture: Picture) -> Image.Image:
    """The picture as a PIL image: L, LA, RGB or RGBA, with its metadata in `info`."""
    image = Image.fromarray(picture.pixels)
    if picture.grey:
        image = image.convert("L")  # exact where the three channels agree
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    if picture.exif:
        image.info["exif"] = picture.exif
    if picture.xmp:
        image.info["xmp"] = picture.xmp
    if picture.dpi:
        image.info["dpi"] = picture.dpi
    return image


def _picture(image: Image.Image, name: str, frames: int, *, convert: bool) -> Picture:
    depth = bits_per_channel(image)
    needs = needs_of(image, name, depth=depth, frames=frames, memory=name == "image")
    if needs and not convert:
        raise refusal_of(needs, name)
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I;16")
    # Before the file is read to its end, and closed.
    colour = read_colour(image, open_file(image) if image.format == "PNG" else None)
    source, kind, printed = image, image.format, image.mode == "CMYK"
    image, orientation = decoded(image, name)
    image, done = convert_image(image, source, needs, depth=depth)
    rgba = np.asarray(image.convert("RGBA"))
    metadata = read_metadata(source, orientation, colour)
    return Picture(
        pixels=rgba[:, :, :3].copy(),
        alpha=rgba[:, :, 3].copy() if image.has_transparency_data else None,
        grey=grey,
        format="JPEG" if kind == "MPO" else kind,
        converted=done,
        **(metadata._replace(icc=None) if printed else metadata)._asdict(),
    )
