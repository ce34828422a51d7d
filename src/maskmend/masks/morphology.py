"""Grows masks, and reduces pixel masks to the token grid."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskmend.errors import ConfigError, MaskError


def grow(mask: Bool[np.ndarray, "H W"], pixels: int) -> Bool[np.ndarray, "H W"]:
    """The hole and all within `pixels` of it (distance between pixel centres); 0 leaves it as it is.

    Raises ConfigError for a negative number.
    """
    if pixels < 0:
        raise ConfigError(f"the hole is to grow by {pixels} pixels: give 0 or more.")
    if pixels == 0 or not mask.any():
        return mask
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    # Distance transforms are expensive: only the hole's neighbourhood is computed.
    reach = tuple(
        slice(max(int(found[0]) - pixels, 0), int(found[-1]) + pixels + 1) for found in (rows, columns)
    )
    from scipy.ndimage import distance_transform_edt  # takes as long to load as a small hole to fill

    grown = mask.copy()
    grown[reach] = np.asarray(distance_transform_edt(~mask[reach])) <= pixels
    return grown


def token_hole(
    mask: Bool[Tensor, "B 1 H W"], patch: int, ring: int = 0, share: float = 0.0
) -> Bool[Tensor, "B h w"]:
    """Which tokens are to be predicted: every one whose `patch` x `patch` cell touches the hole.

    With `share` > 0 only cells that miss more than that fraction of their pixels count. Then the hole grows
    by `ring` tokens in all eight directions. Raises MaskError if H or W is no multiple of `patch`.
    """
    batch, _, height, width = mask.shape
    if height % patch or width % patch:
        raise MaskError(
            f"a {width} x {height} mask has no whole {patch} x {patch} cells: crop or resize it first."
        )
    if ring < 0 or not 0 <= share < 1:
        raise ConfigError(f"ring is {ring} and share {share}: give ring >= 0 and 0 <= share < 1.")
    missing = mask.reshape(batch, height // patch, patch, width // patch, patch).sum(dim=(2, 4))
    holes = missing > share * patch * patch
    if ring:
        pooled = torch.nn.functional.max_pool2d(holes[:, None].float(), 2 * ring + 1, stride=1, padding=ring)
        holes = pooled[:, 0] > 0
    return holes


def missing_share(mask: Bool[Tensor, "B 1 H W"], patch: int) -> Float[Tensor, "B N"]:
    """The share of each token's `patch` x `patch` pixels that lie in the hole, 0 to 1, in row-major order."""
    return torch.nn.functional.avg_pool2d(mask.float(), patch).flatten(1)
