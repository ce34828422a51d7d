"""Plain surroundings: in a clear sky or on a wall, interpolation is better than generated texture.

    known pixels ─► their roughness ─ extended into the hole ─► weight of interpolation ─► blended fill

Any model leaves faint texture in a smooth gradient. The roughness of the known pixels, their mean deviation
from a blurred picture, is extended into the hole; where it is low, the fill becomes the harmonic
interpolation of the known pixels, and where it is high, the model's fill stays. Nothing from inside the hole
is used.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from maskmend.images.infill import infill

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

    smooth = _spread(pixels.astype(np.float32), mask)
    # The interpolation stands in for the hole, so that its border is no edge.
    rough = np.abs(smooth - gaussian_filter(smooth, (BLUR, BLUR, 0), mode="nearest")).mean(2)
    known = (~mask).astype(np.float32)
    total = gaussian_filter(known, REACH, mode="nearest")
    local = gaussian_filter(rough * known, REACH, mode="nearest") / np.maximum(total, 1e-6)
    around = _spread(local[:, :, None].repeat(3, 2).astype(np.float32), mask)[:, :, 0]
    # A limit of next to nothing is a number too, and must not overflow.
    share = np.clip(2 - around / max(limit, 1e-6), 0, 1)[:, :, None]
    blended = np.rint(share * smooth + (1 - share) * pixels).clip(0, 255).astype(np.uint8)
    return np.where(mask[:, :, None], blended, pixels)


def _spread(values: Float[np.ndarray, "H W C"], mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W C"]:
    """Known values, extended smoothly into the hole."""
    # `infill` works in [-1, 1].
    scaled = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None] / 127.5 - 1
    filled = infill(scaled, torch.from_numpy(mask)[None, None], "diffusion")[0]
    return ((filled + 1) * 127.5).numpy().transpose(1, 2, 0)
