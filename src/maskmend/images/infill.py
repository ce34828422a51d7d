"""Infill: what the hole contains while the image is encoded: grey, the mean colour, the nearest colour, or a
diffusion of the surroundings.

The receptive field of a convolutional encoder is larger than a token's cell, so the content of the hole
affects the tokens around it. Original pixels of the hole must not, not even NaN: every strategy first
replaces them (`torch.where`, never a product with the mask). Everything is built from element-wise additions,
multiplications and divisions in a fixed order, without library reductions or convolutions, whose order of
summation may depend on the batch: an image's infill has the same bits in any batch.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from maskmend.config import nearest
from maskmend.errors import ConfigError, MaskError
from maskmend.images.relaxation import RELAXATIONS
from maskmend.images.strips import AT_ONCE, strips, widened
from maskmend.images.tensors import to_tensor, to_uint8


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


def infill_levels(
    pixels: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], strategy: str
) -> UInt8[np.ndarray, "H W 3"]:
    """`infill` in 256 levels. A large picture is filled some rows at a time, with the same result."""
    filled = pixels.copy()
    for rows, levels in _filled_levels(pixels, mask, strategy):
        filled[rows] = np.where(mask[rows, :, None], levels, pixels[rows])
    return filled


def _filled_levels(pixels: np.ndarray, mask: np.ndarray, strategy: str) -> Iterator[tuple[slice, np.ndarray]]:
    def read(rows: slice) -> Tensor:
        return to_tensor(np.ascontiguousarray(pixels[rows]))

    if mask.size <= AT_ONCE or strategy not in STRATEGIES:
        hole = torch.from_numpy(np.ascontiguousarray(mask))[None, None]
        yield slice(0, len(mask)), to_uint8(infill(read(slice(0, len(mask))), hole, strategy))
    elif strategy == "diffusion":
        membrane = Membrane(read, mask)
        for rows in strips(mask.shape):
            if mask[rows].any():
                yield rows, to_uint8(membrane(rows))
    elif strategy == "nearest" and mask.any() and not mask.all():
        from scipy.ndimage import distance_transform_edt  # as in `_nearest`

        indices = distance_transform_edt(mask, return_distances=False, return_indices=True)
        down, across = np.asarray(indices)
        for rows in strips(mask.shape):
            yield rows, pixels[down[rows], across[rows]]
    else:  # one colour
        colour = torch.zeros(1, 3, 1, 1)
        if strategy == "mean":
            halves = [_halved(read(rows), mask[rows]) for rows in strips(mask.shape)]
            colour = _pooled(*(torch.cat(parts, 2) for parts in zip(*halves, strict=True)))
        yield slice(0, len(mask)), to_uint8(colour)


class Membrane:
    """An image whose hole is filled by "diffusion", some rows at a time: with bit-identical results.

    Args:
        read: gives rows of the image as (1, C, rows, W); its values in the hole are not used.
        mask: the hole.
    """

    def __init__(self, read: Callable[[slice], Tensor], mask: Bool[np.ndarray, "H W"]) -> None:
        self.read, self.mask = read, mask
        colours, holes = [], []
        for rows in strips(mask.shape):
            total, count = _halved(read(rows), mask[rows])
            colours.append(total / count.clamp(min=1))
            holes.append(count == 0)
        self.coarse, hole = torch.cat(colours, 2), torch.cat(holes, 2)
        if hole.numel() <= AT_ONCE:
            self.coarse = _diffusion(self.coarse, hole)
            return
        colour = self.coarse  # filled in place: only its known cells are read
        finer = Membrane(lambda rows: colour[:, :, rows], hole[0, 0].numpy())
        for rows in strips(finer.mask.shape):
            colour[:, :, rows] = finer(rows)

    def __call__(self, rows: slice) -> Tensor:
        """These rows, filled."""
        height, width = self.mask.shape
        around, here = widened(rows, RELAXATIONS, height)
        first, last = max(around.start // 2 - 1, 0), min(-(-around.stop // 2) + 1, self.coarse.shape[2])
        filled = _double(self.coarse[:, :, first:last])
        filled = filled[:, :, around.start - 2 * first : around.stop - 2 * first, :width]
        hole = torch.from_numpy(np.ascontiguousarray(self.mask[around]))[None, None]
        filled = torch.where(hole, filled, self.read(around))
        for _ in range(RELAXATIONS):
            filled = torch.where(hole, _neighbour_mean(filled), filled)
        return filled[:, :, here]


def _halved(image: Tensor, mask: np.ndarray) -> tuple[Tensor, Tensor]:
    """The sums of the known pixels of 2 x 2 blocks, and how many those are."""
    hole = torch.from_numpy(np.ascontiguousarray(mask))[None, None]
    blank = torch.where(hole, torch.zeros_like(image), image)
    return _sum_blocks(blank), _sum_blocks((~hole).to(image.dtype))


def _grey(blank: Tensor, masks: Tensor) -> Tensor:
    del masks
    return torch.zeros_like(blank)


def _mean(blank: Tensor, masks: Tensor) -> Tensor:
    return _pooled(blank, (~masks).to(blank.dtype)).expand_as(blank)


def _pooled(total: Tensor, count: Tensor) -> Tensor:
    """The mean over all cells, of sums and counts."""
    while max(total.shape[2:]) > 1:
        total, count = _sum_blocks(total), _sum_blocks(count)
    return total / count.clamp(min=1)


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
