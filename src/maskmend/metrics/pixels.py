"""Pixel-wise metrics: PSNR, SSIM (Wang, Bovik, Sheikh, Simoncelli 2004), L1 in the hole and along its edge.

All take uint8 images (H, W, 3) and masks (H, W), True = to be filled. L1 is in grey levels divided by 255, in
[0, 1]. SSIM follows the paper: Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, population
variances, mean over the windows that lie wholly inside; for colour the mean over the channels.
"""

import math

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import correlate1d, distance_transform_edt

from maskmend.errors import ImageError, MaskError

PEAK = 255.0
WINDOW, SIGMA = 11, 1.5
SEAM_WIDTH = 4


def psnr(result: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"]) -> float:
    """10 log10(255^2 / mean squared error) in dB; infinite for identical images."""
    error = float(np.square(_difference(result, truth)).mean())
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def hole_psnr(
    result: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]
) -> float:
    """PSNR over the hole's pixels alone, in dB; NaN without a hole, infinite where all are met."""
    missing = _difference(result, truth, mask)[mask]
    if not missing.size:
        return math.nan
    error = float(np.square(missing).mean())
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def ssim(result: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"]) -> float:
    """Structural similarity, 1 for identical images. ImageError below 11 x 11 pixels."""
    _difference(result, truth)
    if min(result.shape[:2]) < WINDOW:
        raise ImageError(
            f"an image of {result.shape[1]}x{result.shape[0]} is below SSIM's window of 11x11 pixels"
        )
    a, b = result.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return float((luminance * structure).mean())


def hole_l1(
    result: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]
) -> float:
    """Mean absolute difference over the hole; NaN without a hole."""
    return _mean_over(_difference(result, truth, mask), mask)


def seam_l1(
    result: UInt8[np.ndarray, "H W 3"],
    truth: UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    *,
    width: int = SEAM_WIDTH,
) -> float:
    """Mean absolute difference over the hole's pixels within `width` of a known pixel; NaN without any."""
    return _mean_over(_difference(result, truth, mask), seam_band(mask, width=width))


def seam_step(
    result: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]
) -> float:
    """How much higher the step from a known pixel to its neighbour in the hole is than in the truth.

    Mean absolute difference over all pairs of neighbours (above, below, left, right) with the hole's edge
    between them, less the truth's; 0 for the untouched image, below 0 for a fill smoother than that; NaN
    without a seam.
    """
    _difference(result, truth, mask)  # sizes
    return _step(result, mask) - _step(truth, mask)


def _step(image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> float:
    values = image.astype(np.float64)
    steps = [np.abs(np.diff(values, axis=axis))[np.diff(mask, axis=axis)] for axis in (0, 1)]
    across = np.concatenate(steps)
    return float(across.mean() / PEAK) if across.size else math.nan


def seam_band(mask: Bool[np.ndarray, "H W"], *, width: int = SEAM_WIDTH) -> Bool[np.ndarray, "H W"]:
    """The hole's pixels at most `width` from a known one. The picture's own edge is no seam."""
    if width < 1:
        raise MaskError(f"seam width {width}: choose at least 1 pixel")
    if mask.all() or not mask.any():
        return np.zeros_like(mask)
    distance = np.asarray(distance_transform_edt(mask))
    return mask & (distance <= width)


def known_error(
    result: UInt8[np.ndarray, "H W 3"], truth: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]
) -> int:
    """The largest change of any value outside the hole, in grey levels: 0 where known pixels were kept."""
    known = np.abs(_difference(result, truth, mask))[~mask]
    return int(known.max()) if known.size else 0


def _difference(
    result: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None
) -> Float[np.ndarray, "H W 3"]:
    if result.shape != truth.shape:
        raise ImageError(
            f"a result of shape {result.shape} against a truth of {truth.shape}: sizes must agree"
        )
    if mask is not None and mask.shape != truth.shape[:2]:
        raise MaskError(f"a mask of shape {mask.shape} on images of {truth.shape[:2]}: sizes must agree")
    return result.astype(np.float64) - truth.astype(np.float64)


def _mean_over(difference: Float[np.ndarray, "H W 3"], where: Bool[np.ndarray, "H W"]) -> float:
    chosen = np.abs(difference)[where]
    return float(chosen.mean() / PEAK) if chosen.size else math.nan


def _blur(image: Float[np.ndarray, "H W 3"]) -> Float[np.ndarray, "_ _ 3"]:
    """Gaussian means over the windows wholly inside the image."""
    steps = np.arange(WINDOW) - WINDOW // 2
    kernel = np.exp(-np.square(steps) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    edge = WINDOW // 2
    blurred = correlate1d(correlate1d(image, kernel, axis=0), kernel, axis=1)
    return blurred[edge:-edge, edge:-edge]
