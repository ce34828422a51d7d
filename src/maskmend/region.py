"""The part of a picture that the model sees: cut out around the hole, scaled to the model's size and back.

    picture (H, W) ─ crop around the hole ─► infill ─► scale to R x R ─► model ─► scale back ─► composite

The hole is filled smoothly *before* scaling, because scaling mixes neighbouring pixels and nothing inside the
hole may reach the model. A scaled pixel counts as hole when any part of it was hole.

Holes far apart are cut out each by itself (`split_hole`): one square around all of them would be scaled down
to where the model sees nothing of either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from scipy.ndimage import find_objects, label
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from maskmend.compositing import composite
from maskmend.images import Picture, to_tensor, to_uint8
from maskmend.infill import infill
from maskmend.masks import Box, crop_box, square_around


@dataclass(frozen=True, kw_only=True)
class Region:
    """A crop of a picture at the model's resolution."""

    box: Box
    """Where it lies in the picture."""
    image: Float[Tensor, "1 3 R R"]
    """The crop, hole filled in, in [-1, 1]."""
    mask: Bool[Tensor, "1 1 R R"]
    """The hole at the model's resolution."""


def split_hole(mask: Bool[np.ndarray, "H W"], resolution: int, *, context: float) -> list[Box]:
    """The bounds of the parts of a hole that are filled each by itself, from top to bottom; none of an empty
    hole.

    Two parts are one as long as the squares that would be cut out around them (`cut_region`) overlap, so that
    no part's square holds a pixel of another's hole, and holes beside each other are seen together.
    """
    labels, found = _pieces(mask, resolution, context)
    if found == 0:
        return []
    corners = [(*(axis.start for axis in at), *(axis.stop for axis in at)) for at in find_objects(labels)]
    if mask.shape == (resolution, resolution):
        corners = [_around(corners)]
    while True:
        corners.sort()
        boxes = [
            Box(top=top, left=left, height=bottom - top, width=right - left)
            for top, left, bottom, right in corners
        ]
        squares = [square_around(box, mask.shape, context=context, minimum=resolution) for box in boxes]
        groups = _overlapping(squares)
        if groups.max() + 1 == len(boxes):
            return boxes
        together: list[list[Corners]] = [[] for _ in range(groups.max() + 1)]
        for group, corner in zip(groups, corners, strict=True):
            together[group].append(corner)
        corners = [_around(some) for some in together]


Corners = tuple[int, int, int, int]
"""Top, left, bottom, right."""


def _around(corners: list[Corners]) -> Corners:
    tops, lefts, bottoms, rights = zip(*corners, strict=True)
    return min(tops), min(lefts), max(bottoms), max(rights)


def _pieces(
    mask: Bool[np.ndarray, "H W"], resolution: int, context: float
) -> tuple[Int[np.ndarray, "H W"], int]:
    """Pieces of the hole that are certainly parts of one, numbered from 1, and how many there are.

    A square is wider than its hole by at least resolution * 2c / (1 + 2c) in all, half of it on either side:
    holes closer than that have overlapping squares (but where the picture is too narrow for them: there we
    join more than we would have to). Pieces are told apart on cells of half that distance, as there may be a
    million specks.
    """
    cell = max(1, int(resolution * context / (1 + 2 * context)))
    padding = [(0, -side % cell) for side in mask.shape]
    rows, columns = (-(-side // cell) for side in mask.shape)
    coarse = np.pad(mask, padding).reshape(rows, cell, columns, cell).any(axis=(1, 3))
    numbers, found = cast("tuple[np.ndarray, int]", label(coarse, np.ones((3, 3))))
    whole = numbers.repeat(cell, 0).repeat(cell, 1)[: mask.shape[0], : mask.shape[1]]
    return np.where(mask, whole, 0), found


def _overlapping(squares: list[Box]) -> Int[np.ndarray, "P"]:
    """A number for each square, the same for those that overlap, directly or by way of others."""
    top, left, height, width = (
        np.array([getattr(box, name) for box in squares]) for name in ("top", "left", "height", "width")
    )
    meet = (top[:, None] < (top + height)[None]) & (left[:, None] < (left + width)[None])
    return connected_components(meet & meet.T, directed=False)[1]


def cut_region(
    pixels: UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    resolution: int,
    *,
    context: float,
    strategy: str,
) -> Region:
    """The square around the hole, at `resolution`; a picture of exactly that size is taken whole."""
    height, width = mask.shape
    if (height, width) == (resolution, resolution):
        box = Box(top=0, left=0, height=height, width=width)
    else:
        box = crop_box(mask, context=context, minimum=resolution)
    hole = torch.from_numpy(np.ascontiguousarray(mask[box.slices]))[None, None]
    image = infill(to_tensor(np.ascontiguousarray(pixels[box.slices])), hole, strategy)
    if (box.height, box.width) != (resolution, resolution):
        scaled = Image.fromarray(to_uint8(image)).resize((resolution, resolution), Image.Resampling.LANCZOS)
        hole = _shrink_mask(hole, resolution)
        # Once more at the model's resolution: what training saw is a smooth fill of the hole at this size.
        image = infill(to_tensor(np.asarray(scaled)), hole, strategy)
    return Region(box=box, image=image, mask=hole)


def _shrink_mask(hole: Bool[Tensor, "1 1 h w"], resolution: int) -> Bool[Tensor, "1 1 R R"]:
    # Adaptive max pooling covers every input pixel whether it shrinks or enlarges.
    return F.adaptive_max_pool2d(hole.float(), resolution) > 0


def enlarge(
    fill: Float[np.ndarray, "R R C"], box: Box, kind: Image.Resampling = Image.Resampling.BICUBIC
) -> Float[np.ndarray, "h w C"]:
    """`fill` (float32) at the size of the crop; `kind` bilinear never leaves the range of its values."""
    if fill.shape[:2] == (box.height, box.width):
        return fill
    channels = (Image.fromarray(np.ascontiguousarray(fill[:, :, c])) for c in range(fill.shape[2]))
    size = (box.width, box.height)
    return np.stack([np.asarray(channel.resize(size, kind)) for channel in channels], axis=2)


def join(
    picture: Picture,
    mask: Bool[np.ndarray, "H W"],
    regions: Sequence[Region],
    fills: Sequence[Float[np.ndarray, "R R 3"]],
    seam: str,
) -> Picture:
    """`picture` with its hole taken from the `fills` of its regions; filled pixels are opaque."""
    pixels = picture.pixels.copy()
    for region, fill in zip(regions, fills, strict=True):
        here = region.box.slices
        pixels[here] = composite(picture.pixels[here], enlarge(fill, region.box), mask[here], seam=seam)
    if picture.grey:
        # A greyscale file has one channel: the fill's brightness, the known pixels as they are.
        grey = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
        pixels = np.where(mask[:, :, None], grey, pixels)
    alpha = None if picture.alpha is None else np.where(mask, np.uint8(255), picture.alpha)
    return replace(picture, pixels=pixels, alpha=alpha)


def spread_entropy(
    entropies: Sequence[Float[np.ndarray, "h w"]],
    mask: Bool[np.ndarray, "H W"],
    regions: Sequence[Region],
    factor: int,
) -> Float[np.ndarray, "H W"]:
    """The entropy of each region's tokens as a map over the picture, 0 at known pixels."""
    spread = np.zeros(mask.shape, dtype=np.float32)
    for entropy, region in zip(entropies, regions, strict=True):
        here = region.box.slices
        cells = entropy.repeat(factor, axis=0).repeat(factor, axis=1).astype(np.float32)
        scaled = enlarge(cells[:, :, None], region.box, Image.Resampling.BILINEAR)[:, :, 0]
        spread[here] = np.where(mask[here], scaled, np.float32(0))
    return spread
