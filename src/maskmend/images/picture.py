"""Pictures from files and from memory, read without silent loss (`writing` is the way back).

A `Picture` keeps what a fill must not destroy: alpha, colour profile, EXIF, XMP, comments, resolution, and
whether the file was greyscale. What cannot be kept faithfully is refused with a remedy rather than flattened,
or converted where the caller says so (`conversion`): 16-bit depth (the imaging library would read 16-bit RGB
as 8-bit without a word, so the file's own header is asked), CMYK and its kin, animations. Truncated files and
decompression bombs are refused.
"""

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError, features
from torch import Tensor

from maskmend.errors import ConfigError, ImageError, ImageSizeError
from maskmend.images.bounds import check_demand, check_tiles
from maskmend.images.containers import HEAD, container_of, main_picture, open_heic
from maskmend.images.conversion import convert_image, frames_of, needs_of, refusal_of, told
from maskmend.images.exif import DAMAGED, orientation_of
from maskmend.images.metadata import Metadata, read_metadata
from maskmend.images.pillow import quiet
from maskmend.images.png import Chunks, read_colour

MAX_PIXELS = 64_000_000
SMALLER = (
    "scale it down, or raise --max-megapixels (in Python: max_pixels of load_image) if you trust the file"
)
ValueRange = tuple[int | float, int | float]
"""Where black and white are in a float tensor."""
READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
"""HEIC beside them, with the extra `heif`."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    """What a PNG's chunks say of the colours, by their names: see `png`."""
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


@contextmanager
def open_image(
    source: str | Path | bytes, *, max_pixels: int = MAX_PIXELS, several: bool = False
) -> Iterator[Image.Image]:
    """The file (a path, or the content of one) as a PIL image, known to be of acceptable size, and a single
    frame unless there may be `several`; decoding is left to `decoded`. The imaging library's warnings are not
    let through within.
    """
    # The one about large images is followed by our own limit; those about odd metadata cost nothing.
    with quiet(), _opened(source, max_pixels, several) as image:
        yield image


@contextmanager
def _library_limit(max_pixels: int) -> Iterator[None]:
    """The imaging library's own limit, which is the process's, is lifted where ours is the higher one."""
    before = Image.MAX_IMAGE_PIXELS
    if before is None or max_pixels <= 2 * before:  # it refuses what is twice its limit
        yield
        return
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _opened(source: str | Path | bytes, max_pixels: int, several: bool) -> Iterator[Image.Image]:
    if isinstance(source, bytes):
        name, file = "the image", io.BytesIO(source)
    else:
        file = Path(source)
        name = f"image {file}"
        if not file.is_file():
            what = "a folder" if file.is_dir() else "missing"
            raise ImageError(f"{name} is {what}: give the path of an image file.")
    try:
        with _library_limit(max_pixels):
            image = _open(file)
    except Image.DecompressionBombError as error:
        raise ImageSizeError(f"{name} is too large to decode safely ({error}): {SMALLER}.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} cannot be read: give an intact {', '.join(READABLE)} file.") from error
    except ImageError as error:
        raise ImageError(f"{name} cannot be read: {error}.") from error
    except DAMAGED as error:
        raise ImageError(f"{name} cannot be read ({error}): give another copy.") from error
    with image:
        if image.width * image.height > max_pixels:
            size = f"{image.width} x {image.height} = {image.width * image.height / 1e6:.1f} Mpx"
            raise ImageSizeError(
                f"{name} has {size}, more than the limit of {max_pixels / 1e6:g} Mpx: {SMALLER}."
            )
        check_tiles(image, name)
        frames = frames_of(image, name)
        if frames != 1 and not several:
            raise ImageError(f"{name} has {told(frames)}: extract one and give that.")
        yield image


def _open(file: Path | io.BytesIO) -> Image.Image:
    """The file as the imaging library opens it; of an AVIF or HEIC file `info` tells depth and colours.

    Raises what that raises, and ImageError for a HEIC file that cannot be read here.
    """
    stream = nullcontext(file) if isinstance(file, io.BytesIO) else file.open("rb")
    with stream as content:
        kind = container_of(content.read(HEAD))
        main = None if kind is None else main_picture(content)
        check_demand(content)
    if kind == "AVIF" and not features.check("avif"):
        raise ImageError("it is an AVIF file, which this build of Pillow does not read: save it as PNG")
    image = open_heic(file) if kind == "HEIC" else Image.open(file, formats=READABLE)
    if main is not None:
        image.info.update(bit_depth=main.depth, cicp=main.codes)
    return image


def decoded(image: Image.Image, name: str) -> tuple[Image.Image, int]:
    """The image with its pixels decoded and turned upright, and its EXIF orientation before (1 = upright)."""
    # Asked before the file is read to its end, and closed.
    depth = _bits_per_channel(image)
    with quiet():
        try:
            image.load()
        except DAMAGED as error:
            if _open_file(image) is None:
                raise ImageError(
                    f"{name} was closed before it was decoded: call its load() first."
                ) from error
            raise ImageError(f"{name} is truncated or damaged ({error}): give an intact copy.") from error
        orientation = orientation_of(image)
    key = image.info.get("transparency")
    if image.format == "PNG" and image.mode in ("1", "L") and depth in (1, 2, 4) and isinstance(key, int):
        # The imaging library stretches such greys to 255, but not the one that stands for transparent; of
        # black and white it forgets that one below 12.1.
        image = image.convert("L")
        image.info["transparency"] = (key % 2**depth) * 255 // (2**depth - 1)
    turn = _TURNS.get(orientation)
    return (image if turn is None else image.transpose(turn)), orientation


def picture_from(
    image: "Image.Image | np.ndarray | Tensor | Picture",
    value_range: ValueRange | None = None,
    *,
    convert: bool = False,
) -> Picture:
    """A picture from memory: PIL image, uint8 array (H, W[, 1-4]), or tensor ([1,] 1-4, H, W).

    Tensors are uint8, or float with black and white at the two numbers of `value_range`; the 256 levels come
    back to the bit. Without it a float tensor with a negative number is read as [-1, 1], and one without is
    refused, as it may as well go from 0 to 1. Two and four channels end with alpha. With `convert` a PIL
    image may be all that `load_image` takes with it, and an array uint16. Raises ImageError for anything
    else; ConfigError for a range that is none.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, Image.Image):
        try:
            frames = frames_of(image, "image")
        except ImageError:  # such as of a GIF that is closed: it holds the frame that was loaded
            frames = 1
        return _picture(image, "image", frames, convert=convert)
    if isinstance(image, Tensor):
        return _picture_of(
            _array_from(image, value_range), "tensor", tuple(image.shape), "(C, H, W), C 1 to 4"
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


def _checked_range(value_range: object) -> tuple[float, float]:
    """Two finite numbers, the first the lower one. Raises ConfigError."""
    match value_range:
        case (int() | float() as low, int() | float() as high) if -math.inf < low < high < math.inf:
            return float(low), float(high)
    raise ConfigError(
        f"value_range = {value_range!r}: give the numbers of black and white, such as (0, 1) or (-1, 1)"
    )


def pil_from(picture: Picture) -> Image.Image:
    """The picture as a PIL image: L, LA, RGB or RGBA, with what else belongs to it in its `info`."""
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


def to_tensor(pixels: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "1 3 H W"]:
    """0..255 to -1..1; `to_uint8` takes it back exactly."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32))[None] / 127.5 - 1


def to_uint8(image: Float[Tensor, "1 3 H W"] | Float[Tensor, "3 H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """-1..1 to 0..255, rounded to the nearest level, values beyond the range cut."""
    levels = ((image.detach().float().cpu().reshape(image.shape[-3:]) + 1) * 127.5).round().clamp(0, 255)
    return np.ascontiguousarray(levels.to(torch.uint8).numpy().transpose(1, 2, 0))


def _picture(image: Image.Image, name: str, frames: int, *, convert: bool) -> Picture:
    depth = _bits_per_channel(image)
    needs = needs_of(image, name, depth=depth, frames=frames, memory=name == "image")
    if needs and not convert:
        raise refusal_of(needs, name)
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I;16")
    # Before the file is read to its end, and closed.
    colour = read_colour(image, _open_file(image) if image.format == "PNG" else None)
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


def _open_file(image: Image.Image) -> Any:
    """None for an image that never had one or closed it."""
    file = getattr(image, "fp", None)
    return None if file is None or file.closed else file


def _bits_per_channel(image: Image.Image) -> int:
    """The file's depth as long as it is open; a decoded image has only its mode to tell."""
    file = _open_file(image)
    if image.format == "PNG" and file is not None:
        here = file.tell()
        file.seek(24)  # IHDR: signature 8, chunk head 8, width 4, height 4, depth 1
        depth = file.read(1)[0]
        file.seek(here)
        return depth
    if image.format in ("AVIF", "HEIF"):
        return int(image.info.get("bit_depth", 8))
    if image.format == "TIFF":
        return max(getattr(image, "tag_v2", {}).get(258, (1,)))
    return {"F": 32, "I": 32}.get(image.mode, 16 if image.mode.startswith("I;16") else 8)


def _array_from(image: Tensor, value_range: ValueRange | None) -> np.ndarray:
    low, high = (-1.0, 1.0) if value_range is None else _checked_range(value_range)
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3:
        raise ImageError(f"image tensor has shape {tuple(image.shape)}: give (C, H, W) or (1, C, H, W).")
    if image.is_floating_point():
        if torch.finfo(image.dtype).eps > 1 / 512:  # 256 levels of [-1, 1] would not come back
            raise ImageError(
                f"image tensor is {image.dtype}, too coarse for 256 levels: give float32 or uint8."
            )
        image = image.detach().double().cpu()
        slack = 1e-4 * (high - low)  # for arithmetic; NaN fails the comparison
        if not bool(((image >= low - slack) & (image <= high + slack)).all()):
            raise ImageError(
                f"image tensor leaves [{low:g}, {high:g}] or is not finite: say where black and white are "
                "with value_range, such as value_range=(0, 255), or give uint8."
            )
        if value_range is None and image.numel() and float(image.min()) >= 0:
            raise ImageError(
                "image tensor has no negative number, so that it may go from 0 to 1 or from -1 to 1: "
                "say which with value_range=(0, 1) or value_range=(-1, 1), or give uint8."
            )
        image = ((image - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
    elif image.dtype != torch.uint8:
        raise ImageError(f"image tensor is {image.dtype}: give uint8 (0-255) or float32.")
    return image.cpu().numpy().transpose(1, 2, 0)
