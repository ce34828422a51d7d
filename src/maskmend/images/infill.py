"""Infill: what the hole contains while the image is encoded: grey, the mean colour, the nearest colour, or a
diffusion of the surroundings.

The receptive field of a convolutional encoder is larger than a token's cell, so the content of the hole
affects the tokens around it. Original pixels of the hole must not, not even NaN: every strategy first
replaces them (`torch.where`, never a product with the mask). Everything is built from element-wise additions,
multiplications and divisions in a fixed order, without library reductions or convolutions, whose order of
summation may depend on the batch: an image's infill has the same bits in any batch.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskmend.config import nearest
from maskmend.errors import ConfigError, MaskError

RELAXATIONS = 6  # Jacobi sweeps a pyramid level; more change the fill by less than a grey level


def infill(
    images: Float[Tensor, "B 3 H W"], masks: Bool[Tensor, "B 1 H W"], strategy: str
) -> Float[Tensor, "B 3 H W"]:
    """Images with their holes (mask True) filled by the strategy; known pixels come back bit-identical.

    `images` in [-1, 1]; the fill stays within the range of the known pixels. `strategy` is a name of
    `STRATEGIES`: ``grey`` (0), ``mean`` (mean of the image's known pixels), ``nearest`` (colour of the
    nearest known pixel), ``diffusion`` (smooth membrane spanned over the hole). An image that is all hole
    becomes grey. Raises ConfigError for an unknown strategy, MaskError for masks that do not fit.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(f"unknown infill {strategy!r}{nearest(strategy, STRATEGIES)}")
    wanted = (images.shape[0], 1, *images.shape[2:])
    if masks.dtype != torch.bool or tuple(masks.shape) != wanted:
        raise MaskError(
            f"masks are {masks.dtype} {tuple(masks.shape)}: give torch.bool {wanted}, True = fill."
        )
    blank = torch.where(masks, torch.zeros_like(images), images)
    return torch.where(masks, STRATEGIES[strategy](blank, masks), images)


def _grey(blank: Tensor, masks: Tensor) -> Tensor:
    del masks
    return torch.zeros_like(blank)


def _mean(blank: Tensor, masks: Tensor) -> Tensor:
    total, count = blank, (~masks).to(blank.dtype)
    while max(total.shape[2:]) > 1:
        total, count = _sum_blocks(total), _sum_blocks(count)
    return (total / count.clamp(min=1)).expand_as(blank)


def _nearest(blank: Tensor, masks: Tensor) -> Tensor:
    from scipy.ndimage import distance_transform_edt  # takes as long to load as a small hole to fill

    fill = blank.clone()
    for image, out, mask in zip(blank, fill, masks[:, 0].cpu().numpy(), strict=True):
        if mask.any() and not mask.all():
            indices = distance_transform_edt(mask, return_distances=False, return_indices=True)
            rows, columns = torch.from_numpy(np.asarray(indices)).long().to(image.device)
            out.copy_(image[:, rows, columns])
    return fill


def _diffusion(blank: Tensor, masks: Tensor) -> Tensor:
    """Push-pull pyramid (Gortler et al., The Lumigraph, 1996), relaxed towards the membrane at every level.

    Down: a coarse cell is the mean of its known fine cells, known if any of them is. Up: unknown cells take
    the bilinear interpolation of the coarser level, then a few Jacobi sweeps of the Laplace equation, known
    cells fixed.
    """
    levels = [(blank, masks)]
    while max(levels[-1][0].shape[2:]) > 1:
        colour, hole = levels[-1]
        count = _sum_blocks((~hole).to(colour.dtype))
        levels.append((_sum_blocks(colour) / count.clamp(min=1), count == 0))
    filled = levels.pop()[0]
    while levels:
        colour, hole = levels.pop()
        filled = torch.where(hole, _double(filled)[:, :, : colour.shape[2], : colour.shape[3]], colour)
        for _ in range(RELAXATIONS):
            filled = torch.where(hole, _neighbour_mean(filled), filled)
    return filled


STRATEGIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "grey": _grey,
    "mean": _mean,
    "nearest": _nearest,
    "diffusion": _diffusion,
}


def _sum_blocks(cells: Tensor) -> Tensor:
    """Sums 2 x 2 blocks, (B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2)); values outside are zero."""
    cells = torch.nn.functional.pad(cells, (0, cells.shape[3] % 2, 0, cells.shape[2] % 2))
    rows = cells[:, :, 0::2] + cells[:, :, 1::2]
    return rows[..., 0::2] + rows[..., 1::2]


def _double(cells: Tensor) -> Tensor:
    """Bilinear interpolation to twice the size, edges repeated."""
    for axis in (2, 3):
        size = cells.shape[axis]
        first, last = cells.narrow(axis, 0, 1), cells.narrow(axis, size - 1, 1)
        before = torch.cat([first, cells.narrow(axis, 0, size - 1)], axis)
        after = torch.cat([cells.narrow(axis, 1, size - 1), last], axis)
        near = cells * 0.75
        cells = torch.stack([near + before * 0.25, near + after * 0.25], axis + 1).flatten(axis, axis + 1)
    return cells


def _neighbour_mean(cells: Tensor) -> Tensor:
    """Mean of the four neighbours, edges repeated (no flow through the image's border)."""
    padded = torch.nn.functional.pad(cells, (1, 1, 1, 1), mode="replicate")
    vertical = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1]
    return (vertical + (padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:])) * 0.25
