"""Reads masks, and converts other conventions to ours.

Inside the package, True = to be filled. In files, white = fill; greys and JPEG noise are thresholded;
`invert` selects the opposite polarity (the coursework's black holes). An image with alpha
is read like the output of an eraser: transparent = fill.
"""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from maskmend.errors import ImageError, MaskError, MaskWarning
from maskmend.images.opening import MAX_PIXELS, decoded, open_image
from maskmend.images.strips import strips
from maskmend.masks.options import Channel, MaskOptions, PhotoCheck
from maskmend.masks.photo_check import is_photograph
from maskmend.progress import Log

MaskLike = Image.Image | np.ndarray | Tensor
READ_AS_IT_IS = MaskOptions()


def as_mask(
    mask: MaskLike,
    *,
    size: tuple[int, int] | None = None,
    options: MaskOptions = READ_AS_IT_IS,
    note: Log | None = None,
) -> Bool[np.ndarray, "H W"]:
    """The mask as booleans, True = fill.

    `mask` is a PIL image, whose EXIF orientation is applied, an array (H, W) or (H, W, 1-4), or a tensor
    (H, W), (1-4, H, W) or (1, 1-4, H, W); bool, uint8, uint16, float in [0, 1], or any integers that are all
    0 or 1. `options`: see `MaskOptions`.

    `size` is the image's (height, width); another size is a MaskError unless `options.fit`.

    A mask that is not black but nowhere reaches the threshold is a MaskError, as a label image of 0 and 1, or
    dark paint, would be taken for an empty mask. One that is plainly a photograph (`photo_check`) is a
    warning: `note` is called with it, or if that is None, `warnings.warn` with a `MaskWarning`.
    """
    cut = options.threshold
    values, peak = _channels_last(mask)
    channels = values.shape[2]
    alpha = values[:, :, -1] if channels in (2, 4) else None
    if options.channel == "alpha" and alpha is None:
        raise MaskError(f"the mask has {channels} channel(s) and no alpha: use channel 'luma' or 'auto'.")
    by_alpha = alpha is not None and (
        options.channel == "alpha" or (options.channel == "auto" and alpha.min() < peak)
    )
    if alpha is not None and by_alpha:
        brightness = peak - alpha.astype(np.float64)
    elif channels >= 3:
        # The weights of ITU-R BT.601 over a common denominator: exact for integers, so grey stays itself.
        brightness = np.empty(values.shape[:2])
        for rows in strips(values.shape):
            red, green, blue = (values[rows, :, i].astype(np.float64) for i in range(3))
            brightness[rows] = (red * 19595 + green * 38470 + blue * 7471) / 65536
    else:
        brightness = values[:, :, 0].astype(np.float64)
    most = float(brightness.max()) / peak
    if 0 < most < cut:
        if by_alpha:
            raise MaskError(
                f"the mask is read by its alpha, and no pixel is more than {most:.1%} transparent: erase "
                "what is to be filled, or take its brightness with --mask-channel luma "
                "(in Python: mask_channel)."
            )
        raise MaskError(
            f"the mask is not black, but its brightest pixel is {most:.3g} of white, below the threshold of "
            f"{cut:g}: paint white, or lower it with --mask-threshold {most / 2:.2g} "
            "(in Python: mask_threshold)."
        )
    holes = (brightness >= cut * peak) != options.invert
    if not by_alpha and options.photo_check != "off":
        brightness /= peak  # in place: of a large mask it is half a gigabyte
        if is_photograph(brightness, values[:, :, :3] if channels >= 3 else None, peak):
            _warn_of_photo(options.photo_check, note)
    if size is not None and holes.shape != tuple(size):
        if not options.fit:
            here, there = f"{holes.shape[1]} x {holes.shape[0]}", f"{size[1]} x {size[0]}"
            raise MaskError(
                f"the mask is {here}, the image {there} (width x height): "
                "give one of the image's size, or have it resized with --fit-mask (in Python: fit_mask=True)."
            )
        holes = _resized(holes, size)
    return holes


def _warn_of_photo(check: PhotoCheck, note: Log | None) -> None:
    looks = "the mask looks like a photograph"
    if check == "refuse":
        raise MaskError(
            f"{looks}: give one in black and white (were image and mask swapped?), or, if it is meant, "
            "--mask-photo-check off (in Python: mask_photo_check='off')."
        )
    _warn(f"{looks}: its bright parts are filled (were image and mask swapped?)", note)


def _warn(message: str, note: Log | None) -> None:
    if note is None:
        warnings.warn(message, MaskWarning, stacklevel=4)
    else:
        note(message)


def load_mask(
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    options: MaskOptions = READ_AS_IT_IS,
    note: Log | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Bool[np.ndarray, "H W"]:
    """`as_mask` for a file, EXIF orientation applied. Raises MaskError, also for a file that cannot be
    read."""
    notes: list[str] = []  # warned of below: warnings are ignored while Pillow has the file open
    try:
        with open_image(path, max_pixels=max_pixels) as image:
            holes = as_mask(image, size=size, options=options, note=notes.append)
    except ImageError as error:
        raise MaskError(f"the mask cannot be used: {error}") from error
    except MaskError as error:
        raise MaskError(f"{path}: {error}") from error
    for message in notes:
        _warn(f"{path}: {message}", note)
    return holes


def read_mask(
    content: bytes,
    *,
    size: tuple[int, int],
    options: MaskOptions = READ_AS_IT_IS,
    note: Log | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Bool[np.ndarray, "H W"]:
    """`load_mask` for a file's content, such as an upload."""
    notes: list[str] = []
    try:
        with open_image(content, max_pixels=max_pixels) as image:
            holes = as_mask(image, size=size, options=options, note=notes.append)
    except ImageError as error:
        raise MaskError(f"the mask cannot be used: {error}") from error
    for message in notes:
        _warn(message, note)
    return holes


def reads_alpha(mask: str | Path | bytes, channel: Channel = "auto") -> bool:
    """Whether `load_mask` of this file, or `read_mask` of its content, would read transparency, not
    brightness."""
    if channel != "auto":
        return channel == "alpha"
    try:
        with open_image(mask) as image:
            values, peak = _channels_last(image)
    except ImageError as error:
        raise MaskError(str(error)) from error
    except MaskError as error:
        raise MaskError(str(error) if isinstance(mask, bytes) else f"{mask}: {error}") from error
    return values.shape[2] in (2, 4) and float(values[:, :, -1].min()) < peak


def _channels_last(mask: MaskLike) -> tuple[np.ndarray, float]:
    """The mask's values as (H, W, C), and the value of white."""
    if isinstance(mask, Image.Image):
        try:
            mask, _ = decoded(mask, "the mask")
        except ImageError as error:
            raise MaskError(f"the mask cannot be used: {error}") from error
        if mask.mode in ("P", "PA") or (mask.mode in ("L", "RGB") and mask.has_transparency_data):
            mask = mask.convert("RGBA")
        if mask.mode not in ("1", "L", "LA", "RGB", "RGBA", "F", "I") and not mask.mode.startswith("I;16"):
            raise MaskError(f"the mask's colour mode is {mask.mode}: save it as 8-bit grey or RGB.")
        values = np.asarray(mask)
        if mask.mode == "I":
            values = values.clip(0, 65535).astype(np.uint16)
        given = values.shape
    elif isinstance(mask, Tensor):
        given = tuple(mask.shape)
        if mask.ndim == 4 and mask.shape[0] == 1:
            mask = mask[0]
        values = (mask.detach().float() if mask.is_floating_point() else mask.detach()).cpu().numpy()
        if values.ndim == 3:
            values = values.transpose(1, 2, 0)
    elif isinstance(mask, np.ndarray):
        given = mask.shape
        values = mask
    else:
        raise MaskError(
            f"the mask is a {type(mask).__name__}: give a PIL image, an array or a tensor; "
            "maskmend.masks.reading.load_mask reads a file."
        )
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or not 1 <= values.shape[2] <= 4 or 0 in values.shape:
        raise MaskError(
            f"the mask has shape {given}: give (H, W), an array (H, W, 1 to 4) or a tensor (1 to 4, H, W)."
        )
    return values, _white(values, from_file=isinstance(mask, Image.Image))


def _white(values: np.ndarray, *, from_file: bool) -> float:
    if values.dtype == bool:
        return 1.0
    if np.issubdtype(values.dtype, np.floating):
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise MaskError("the mask's floats leave [0, 1] or are not finite: scale them, 1 = fill.")
        return 1.0
    # Arrays of 0 and 1 mean just that, whatever their type; in an image file a 1 is 1 of 255.
    if not from_file and values.min() >= 0 and values.max() <= 1:
        return 1.0
    if values.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(values.dtype).max)
    raise MaskError(
        f"the mask is {values.dtype} up to {values.max()}: give bool, 0 and 1, uint8 or floats in [0, 1]."
    )


def _resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Nearest neighbour, pixel centres aligned."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(mask.shape, size, strict=True)
    )
    return mask[np.ix_(rows, columns)]
