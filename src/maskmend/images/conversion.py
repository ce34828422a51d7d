"""Optional conversion of pictures that 8-bit RGB or grey cannot represent.

    16 (10, 12) bits a channel ─► 8, the upper ones     CMYK ─► sRGB, by its profile     frames ─► the first

Such files are refused unless the caller allows conversion. Those without a well-defined conversion are always
refused: floating point (the value of white is not specified), Lab, and 16-bit files with a transparent
colour.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from maskmend.errors import ConversionNeeded, ImageError
from maskmend.images.exif import DAMAGED

KEPT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""Colour modes that need no conversion."""
DEEPEST = 16
_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262


@dataclass(frozen=True)
class Need:
    """A property of a file that has to be converted."""

    trouble: str
    remedy: str
    offer: str
    """The conversion, such as "16 bits a channel to 8"."""


SEVERAL = 0
"""Frames of a file that has more than one; how many is not counted."""
_UNCOUNTED = ("GIF", "TIFF")
"""Formats that do not say how many frames they have: the library follows them one by one, for an hour where
a crafted file has a million."""


def frames_of(image: Image.Image, name: str) -> int:
    """How many pictures a file holds, or `SEVERAL`. Raises ImageError."""
    if image.format == "MPO":
        return 1  # the JPEG of phones, with a preview or a second view behind the photo
    try:
        if image.format in _UNCOUNTED:
            return SEVERAL if getattr(image, "is_animated", False) else 1
        return getattr(image, "n_frames", 1)
    except DAMAGED as error:
        raise ImageError(f"{name} is damaged ({error}): give another copy.") from error


def frames_in_words(frames: int) -> str:
    """The number of frames in words."""
    return "several frames" if frames == SEVERAL else f"{frames} frames"


def needs_of(image: Image.Image, name: str, *, depth: int, frames: int, memory: bool = False) -> list[Need]:
    """What would have to be converted of an image in a file, or in `memory`. Raises ImageError for what
    cannot be.
    """
    needs = []
    if frames != 1:
        here = image.tell()
        which = "the main" if image.format == "HEIF" else "the first" if here == 0 else f"frame {here + 1}"
        one = "give one of them, such as image.copy()" if memory else "extract one and give that"
        needs.append(Need(f"has {frames_in_words(frames)}", one, f"{which} of {frames_in_words(frames)}"))
    deep = image.mode.startswith("I;16")
    if depth > DEEPEST or (depth > 8 and not (deep or image.mode in (*KEPT, "CMYK"))):
        raise ImageError(
            f"{name} has {depth} bits a channel, of unspecified range: convert it to 8 bits first."
        )
    if depth > 8:
        if isinstance(image.info.get("transparency"), tuple):
            raise ImageError(
                f"{name} has {depth} bits a channel and a transparent colour: save it with alpha in its "
                "place."
            )
        needs.append(
            Need(
                f"has {depth} bits a channel, which would be lost",
                "convert it to 8 bits first",
                f"{depth} bits a channel to 8",
            )
        )
    if image.mode == "CMYK":
        needs.append(Need("is of colour mode CMYK", "convert it to 8-bit RGB first", "CMYK to sRGB"))
    elif image.mode not in KEPT and not deep:
        raise ImageError(f"{name} is of colour mode {image.mode}: convert it to 8-bit RGB or grey first.")
    return needs


def refusal_of(needs: list[Need], name: str) -> ConversionNeeded:
    """The error that lists `needs` and names the option."""
    troubles = ", ".join(need.trouble for need in needs)
    remedies = " and ".join(need.remedy for need in needs)
    return ConversionNeeded(
        f"{name} {troubles}: {remedies}, or have it done with --convert (in Python: convert=True).",
        tuple(need.offer for need in needs),
    )


def convert_image(
    image: Image.Image, source: Image.Image, needs: list[Need], *, depth: int
) -> tuple[Image.Image, tuple[str, ...]]:
    """The decoded and upright `image` with 8 bits a channel, grey or RGB, and what was done, in words.

    `source` is the file's image, from which it came.
    """
    done = [need.offer for need in needs]
    if image.mode.startswith("I;16"):
        image = _upper_bits(image, source, depth)
    elif image.mode == "CMYK":
        image, way = _to_srgb(image, source.info.get("icc_profile"))
        done[-1] += way
    return image, tuple(done)


def _upper_bits(image: Image.Image, source: Image.Image, depth: int) -> Image.Image:
    """A grey image as the imaging library makes 8 bits of deeper RGB: the lower ones are left out."""
    values = np.asarray(image).astype(np.uint16)
    levels = (values >> (depth - 8)).clip(0, 255).astype(np.uint8)
    if source.format == "TIFF" and getattr(source, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        levels = 255 - levels  # which the imaging library leaves undone where they are deep
    grey = Image.fromarray(levels)
    key = source.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """Relative colorimetric with black point compensation, as print programs do it."""
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, *DAMAGED):
            return image.convert("RGB"), ", approximately: its colour profile cannot be used"
        if converted is not None:
            return converted, " by its colour profile"
    return image.convert("RGB"), ", approximately: it has no colour profile"
