"""Writes pictures atomically: PNG, JPEG, WebP, TIFF.

Metadata is written back. What a format cannot hold is refused with a remedy.
"""

import io
import os
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from maskmend.errors import ImageError
from maskmend.images.exif import DAMAGED
from maskmend.images.metadata import save_options
from maskmend.images.picture import Picture, pil_from
from maskmend.images.pillow import quiet
from maskmend.images.png import unlike_srgb
from maskmend.storage.files import write_files

WRITABLE = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
PNG_LEVEL = 3
"""zlib's level. The three shipped photographs take two fifths of the time of level 6, and 2 % less space:
above 3 zlib looks for matches in another way, which suits drawings more."""
_LONGEST_SIDES = {"WEBP": 16_383, "JPEG": 65_500}
"""Pixels that the libraries write."""


def check_writable(path: Path, *, alpha: bool, picture: Picture | None = None) -> str:
    """The format that `save_image` would write at `path`, for a check before the work is done.

    Raises ImageError where `save_image` would refuse a picture with or without `alpha`; of the size and the
    colours of `picture` if one is given.
    """
    if path.is_dir():
        raise ImageError(f"cannot write {path}: it is a folder, give the name of a file in it.")
    kind = WRITABLE.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(WRITABLE)
        raise ImageError(f"cannot write {path}: suffix {path.suffix!r} is not supported, use one of {known}.")
    if kind == "JPEG" and alpha:
        raise ImageError(f"cannot write {path}: JPEG holds no alpha channel, save as .png, .webp or .tif.")
    if not path.parent.is_dir():
        raise ImageError(f"cannot write {path}: folder {path.parent} is missing, create it first.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ImageError(f"cannot write {path}: folder {path.parent} is not writable, choose another one.")
    if picture is not None:
        try:
            check_holds(kind, picture)
        except ImageError as error:
            raise ImageError(f"cannot write {path}: {error}") from error
    return kind


def save_image(picture: Picture, path: str | Path, *, quality: int = 95) -> None:
    """Writes PNG, JPEG, WebP (lossless) or TIFF by the path's suffix; `quality` (1-100) is JPEG's.

    The file is written atomically. Raises ImageError for another suffix, a missing folder, an alpha
    channel that JPEG cannot hold; OutputError for a failed write.
    """
    save_images({Path(path): picture}, quality=quality)


def save_images(pictures: Mapping[Path, Picture], *, quality: int = 95) -> None:
    """`save_image` for several: if one cannot be written, none is, and existing files are unchanged."""
    write_files({path: encode_image(picture, path, quality) for path, picture in pictures.items()})


def encode_image(picture: Picture, path: Path, quality: int = 95) -> bytes:
    """What `save_image` writes at `path`, with the same errors."""
    kind = check_writable(path, alpha=picture.alpha is not None)
    try:
        return encode_picture(picture, kind, quality=quality)
    except ImageError as error:
        raise ImageError(f"cannot write {path}: {error}") from error


def encode_picture(picture: Picture, kind: str, *, quality: int = 95, lossless: bool = True) -> bytes:
    """The picture as the content of a PNG, JPEG, WEBP or TIFF file, with its colour profile, EXIF and XMP,
    and its resolution and texts where the format has them. EXIF, XMP and texts longer than a JPEG's segment
    are left out of it.

    `quality` (1-100) is JPEG's, and WebP's where it is not to be `lossless`. Raises ImageError for what the
    format cannot hold.
    """
    if kind not in WRITABLE.values():
        raise ImageError(f"format {kind!r} is not supported, use one of {', '.join(set(WRITABLE.values()))}.")
    if not 1 <= quality <= 100:
        raise ImageError(f"quality is {quality}, give 1 to 100.")
    check_holds(kind, picture)
    options: dict[str, Any] = {}
    if kind == "JPEG":
        options.update(quality=quality, subsampling=0)
    if kind == "PNG":
        options.update(compress_level=PNG_LEVEL)
    if kind == "WEBP" and lossless:
        options.update(lossless=True, exact=True)  # exact: keeps the colour of wholly transparent pixels
    elif kind == "WEBP":
        options.update(quality=quality)
    content = io.BytesIO()
    try:
        options.update(save_options(picture.metadata, kind))
        # Pillow warns of unusual values in TIFF tags.
        with quiet() if kind == "TIFF" else nullcontext():
            pil_from(picture).save(content, format=kind, **options)
    except DAMAGED as error:
        raise ImageError(f"{kind} cannot hold it ({error}): check its size, or use PNG.") from error
    return content.getvalue()


def check_holds(kind: str, picture: Picture) -> None:
    """Raises ImageError if the format lacks the picture's alpha or colours, or has a size limit below it."""
    if kind == "JPEG" and picture.alpha is not None:
        raise ImageError("JPEG holds no alpha channel, use PNG, WebP or TIFF.")
    height, width = picture.pixels.shape[:2]
    longest = _LONGEST_SIDES.get(kind)
    if longest is not None and max(height, width) > longest:
        raise ImageError(f"{kind} holds {longest} pixels a side, not {width} x {height}: use PNG or TIFF.")
    chunk = unlike_srgb(picture.colour, profile=bool(picture.icc))
    if kind != "PNG" and chunk:
        raise ImageError(
            f"{kind} has no place for the PNG's {chunk}, without which the colours change: "
            "use PNG, or convert the image to sRGB first."
        )
