"""Pictures as tensors: the networks' [-1, 1], and whatever range a caller's tensor has."""

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maskmend.errors import ConfigError, ImageError

ValueRange = tuple[int | float, int | float]
"""Where black and white are in a float tensor."""


def _checked_range(value_range: object) -> tuple[float, float]:
    """Two finite numbers, the first the lower one. Raises ConfigError."""
    match value_range:
        case (int() | float() as low, int() | float() as high) if -math.inf < low < high < math.inf:
            return float(low), float(high)
    raise ConfigError(
        f"value_range = {value_range!r}: give the numbers of black and white, such as (0, 1) or (-1, 1)"
    )


def to_tensor(pixels: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "1 3 H W"]:
    """0..255 to -1..1; `to_uint8` takes it back exactly."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32))[None] / 127.5 - 1


def to_uint8(image: Float[Tensor, "1 3 H W"] | Float[Tensor, "3 H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """-1..1 to 0..255, rounded to the nearest level, values beyond the range cut."""
    levels = ((image.detach().float().cpu().reshape(image.shape[-3:]) + 1) * 127.5).round().clamp(0, 255)
    return np.ascontiguousarray(levels.to(torch.uint8).numpy().transpose(1, 2, 0))


def array_from(image: Tensor, value_range: ValueRange | None) -> np.ndarray:
    """A caller's tensor ([1,] C, H, W) as a uint8 array, channels last (rules: `picture.picture_from`).

    Raises ImageError, ConfigError.
    """
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
