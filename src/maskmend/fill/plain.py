"""Plain surroundings: in a clear sky or on a wall, interpolation is better than generated texture.

    known pixels ─► their roughness ─ extended into the hole ─► weight of interpolation ─► blended fill

Any model leaves faint texture in a smooth gradient. The roughness of the known pixels, their mean deviation
from a blurred picture, is extended into the hole; where it is low, the fill becomes the harmonic
interpolation of the known pixels, and where it is high, the model's fill stays. Nothing from inside the hole
is used.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from maskmend.images.infill import Membrane
from maskmend.images.strips import strips, widened

BLUR = 2.0
"""Standard deviation, in pixels, of the blur that roughness is measured against."""
REACH = 3.0
"""Standard deviation, in pixels, over which roughness is averaged."""


def interpolate_plain(
    pixels: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], limit: float
) -> UInt8[np.ndarray, "H W 3"]:
    """`pixels`, whose hole (mask True) is filled, with the fill replaced by interpolation where the known
    surroundings are plain.

    Args:
        limit: roughness of the surroundings, in grey levels (0 to 255), up to which all of the fill is
            interpolated; from twice that on none is. 0 changes nothing.

    Known pixels are unchanged, and so is a picture that is all hole.
    """
    if limit <= 0 or mask.all() or not mask.any():
        return pixels
    from scipy.ndimage import gaussian_filter  # takes as long to load as a small hole to fill

    smooth = _spread(lambda rows: pixels[rows].astype(np.float32), mask)
    local = np.empty(mask.shape, dtype=np.float32)
    blur, reach = (int(4 * sigma + 0.5) for sigma in (BLUR, REACH))  # where SciPy cuts a Gaussian off
    for rows in strips(mask.shape):
        around, here = widened(rows, blur + reach, len(mask))
        # The interpolation stands in for the hole, so that its border is no edge.
        calm = smooth(around)
        rough = np.abs(calm - gaussian_filter(calm, (BLUR, BLUR, 0), mode="nearest")).mean(2)
        known = (~mask[around]).astype(np.float32)
        total = gaussian_filter(known, REACH, mode="nearest")
        averaged = gaussian_filter(rough * known, REACH, mode="nearest") / np.maximum(total, 1e-6)
        local[rows] = averaged[here]
    spread = _spread(lambda rows: local[rows, :, None], mask)
    filled = pixels.copy()
    for rows in strips(mask.shape):
        hole = mask[rows, :, None]
        if not hole.any():
            continue
        # A tiny limit is valid too, and must not overflow.
        share = np.clip(2 - spread(rows) / max(limit, 1e-6), 0, 1)
        blended = np.rint(share * smooth(rows) + (1 - share) * pixels[rows]).clip(0, 255).astype(np.uint8)
        filled[rows] = np.where(hole, blended, pixels[rows])
    return filled


def _spread(
    values: Callable[[slice], np.ndarray], mask: Bool[np.ndarray, "H W"]
) -> Callable[[slice], np.ndarray]:
    """Known values (rows, W, C), extended smoothly into the hole; both some rows at a time."""

    def read(rows: slice) -> torch.Tensor:
        # In [-1, 1], as pictures are filled.
        return torch.from_numpy(np.ascontiguousarray(values(rows).transpose(2, 0, 1)))[None] / 127.5 - 1

    membrane = Membrane(read, mask)
    return lambda rows: ((membrane(rows)[0] + 1) * 127.5).numpy().transpose(1, 2, 0)
