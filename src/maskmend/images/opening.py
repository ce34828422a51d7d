"""Image files, opened and decoded with the imaging library: of acceptable size, whole, and upright.

Truncated files and decompression bombs are refused. The library silently reads 16-bit RGB as 8-bit, so
the depth comes from the file's own header.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError, features

from maskmend.errors import ImageError, ImageSizeError
from maskmend.images.bounds import check_demand, check_tiles
from maskmend.images.containers import HEAD, container_of, main_picture, open_heic
from maskmend.images.conversion import frames_in_words, frames_of
from maskmend.images.exif import DAMAGED, orientation_of
from maskmend.images.pillow import quiet

MAX_PIXELS = 64_000_000
SMALLER = (
    "scale it down, or raise --max-megapixels (in Python: max_pixels of load_image) if you trust the file"
)
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


@contextmanager
def open_image(
    source: str | Path | bytes, *, max_pixels: int = MAX_PIXELS, several: bool = False
) -> Iterator[Image.Image]:
    """The file (a path, or the content of one) as a PIL image, known to be of acceptable size, and a single
    frame unless there may be `several`; decoding is left to `decoded`. The imaging library's warnings are
    suppressed within the block.
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
            raise ImageError(f"{name} has {frames_in_words(frames)}: extract one and give that.")
        yield image


def _open(file: Path | io.BytesIO) -> Image.Image:
    """The file as the imaging library opens it; of an AVIF or HEIC file `info` has depth and colours.

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
    depth = bits_per_channel(image)
    with quiet():
        try:
            image.load()
        except DAMAGED as error:
            if open_file(image) is None:
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


def open_file(image: Image.Image) -> Any:
    """The file that the image is read from; None where it never had one, or closed it."""
    file = getattr(image, "fp", None)
    return None if file is None or file.closed else file


def bits_per_channel(image: Image.Image) -> int:
    """The file's depth as long as it is open; a decoded image has only its mode to tell."""
    file = open_file(image)
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
