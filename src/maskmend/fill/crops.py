"""The part of a picture that the model sees: cut out around the hole, scaled to the model's size and back.

    picture (H, W) ─ crop around the hole ─► infill ─► scale to R x R ─► model ─► scale back ─► composite

The hole is filled smoothly *before* scaling, because scaling mixes neighbouring pixels and nothing inside the
hole may reach the model. A scaled pixel counts as hole when any part of it was hole. Which squares are cut
out: `windows`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from maskmend.fill.compositing import composite
from maskmend.fill.windows import Window
from maskmend.images.infill import infill, infill_levels
from maskmend.images.picture import Picture, to_tensor
from maskmend.images.strips import strips
from maskmend.masks.box import Box

NOT_YET = 128
"""Grey of holes that nothing has filled yet."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A crop of a picture at the model's resolution."""

    window: Window
    """Where it lies in the picture."""
    image: Float[Tensor, "1 3 R R"]
    """The crop, hole filled in, in [-1, 1]."""
    mask: Bool[Tensor, "1 1 R R"]
    """The hole at the model's resolution."""
    guess: bool | Bool[Tensor, "1 1 R R"] = False
    """Whether the hole is filled with a guess of its content (a coarser fill, enlarged) or smoothly; or which
    pixels are, where colours are painted into a part of it (`guide`)."""

    @property
    def box(self) -> Box:
        """The rectangle of the picture that was cut out."""
        return self.window.box


def cut_region(
    pixels: UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    window: Window,
    resolution: int,
    *,
    strategy: str,
) -> Region:
    """What the model sees through a window, at `resolution`."""
    box = window.box
    crop, hole, size = pixels[box.slices], mask[box.slices], (resolution, resolution)
    if crop.shape[:2] == size:
        image = to_tensor(np.ascontiguousarray(crop))
    else:
        image = scaled_to(infill_levels(crop, hole, strategy), size)
        hole = shrink_mask(hole, size)
    hole = torch.from_numpy(np.ascontiguousarray(hole))[None, None]
    # After scaling once more: what training saw is a smooth fill of the hole at the model's resolution.
    image = infill(image, hole, strategy)
    return Region(window=window, image=image, mask=hole)


def scaled_to(levels: UInt8[np.ndarray, "H W 3"], size: tuple[int, int]) -> Float[Tensor, "1 3 h w"]:
    """The image at another size (height, width), in [-1, 1]."""
    height, width = size
    scaled = Image.fromarray(levels).resize((width, height), Image.Resampling.LANCZOS)
    return to_tensor(np.asarray(scaled))


def shrink_mask(hole: Bool[np.ndarray, "H W"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The hole at another size: a pixel is hole where any part of it was."""
    for axis, (before, after) in enumerate(zip(hole.shape, size, strict=True)):
        # Every pixel before counts, whether the hole shrinks or grows; neighbours may share one.
        edges = np.arange(after + 1) * before
        starts, last = edges[:-1] // after, -(-edges[1:] // after) - 1
        hole = np.logical_or.reduceat(hole, starts, axis) | hole.take(last, axis)
    return hole


def enlarge(
    fill: Float[np.ndarray, "H W C"], box: Box, kind: Image.Resampling = Image.Resampling.BICUBIC
) -> Float[np.ndarray, "h w C"]:
    """`fill` (float32) at the size of the crop; `kind` bilinear never leaves the range of its values."""
    if fill.shape[:2] == (box.height, box.width):
        return fill
    enlarged = np.empty((box.height, box.width, fill.shape[2]), dtype=np.float32)
    for c in range(fill.shape[2]):
        channel = Image.fromarray(np.ascontiguousarray(fill[:, :, c]))
        enlarged[:, :, c] = np.asarray(channel.resize((box.width, box.height), kind))
    return enlarged


def join(
    picture: Picture,
    mask: Bool[np.ndarray, "H W"],
    regions: Sequence[Region],
    fills: Sequence[Float[np.ndarray, "R R 3"]],
    seam: str,
) -> Picture:
    """`picture` with its hole taken from the `fills` of its regions; filled pixels are opaque.

    A hole pixel that no region shows is `NOT_YET`.
    """
    pixels = np.where(mask[:, :, None], np.uint8(NOT_YET), picture.pixels)
    filled = (
        composite(picture.pixels[r.box.slices], enlarge(fill, r.box), mask[r.box.slices], seam=seam)
        for r, fill in zip(regions, fills, strict=True)
    )
    for part, values, covered in _blended(regions, filled):
        here = pixels[part.slices]
        here[:] = np.where(mask[part.slices][:, :, None] & covered, np.rint(values), here)
    return filled_picture(picture, mask, pixels)


def filled_picture(
    picture: Picture, mask: Bool[np.ndarray, "H W"], pixels: UInt8[np.ndarray, "H W 3"]
) -> Picture:
    """`picture` with the filled `pixels`: grey where it is grey, and opaque in the hole."""
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
    cells = (e.repeat(factor, axis=0).repeat(factor, axis=1).astype(np.float32) for e in entropies)
    scaled = (
        enlarge(each[:, :, None], region.box, Image.Resampling.BILINEAR)
        for each, region in zip(cells, regions, strict=True)
    )
    for part, values, _ in _blended(regions, scaled):
        spread[part.slices] += np.where(mask[part.slices], values[:, :, 0], np.float32(0))
    return spread


def _blended(
    regions: Sequence[Region], values: Iterable[np.ndarray]
) -> Iterator[tuple[Box, Float[np.ndarray, "h w C"], Bool[np.ndarray, "h w 1"]]]:
    """The `values` (h, w, C) in the boxes of the regions, blended: strip by strip of each part of the hole,
    and where there are any. The regions of a part follow each other, from top to bottom."""
    for part, pairs in groupby(zip(regions, values, strict=True), key=lambda pair: pair[0].window.part):
        showing: list[tuple[Region, np.ndarray]] = []
        waiting = iter(pairs)
        coming = next(waiting, None)
        for rows in strips((part.height, part.width)):
            strip = Box(
                top=part.top + rows.start, left=part.left, height=rows.stop - rows.start, width=part.width
            )
            bottom = strip.top + strip.height
            while coming is not None and coming[0].window.shown.top < bottom:
                assert coming[0].window.shown.top >= strip.top
                showing.append(coming)
                coming = next(waiting, None)
            if not showing:
                continue
            summed = np.zeros((strip.height, strip.width, showing[0][1].shape[2]))
            total = np.zeros((strip.height, strip.width, 1))
            for region, value in showing:
                shown, start = region.window.shown, max(region.window.shown.top, strip.top)
                length = min(_bottom(shown), bottom) - start
                seen = Box(top=start, left=shown.left, height=length, width=shown.width)
                weight = region.window.weight(seen.within(shown).slices[0])[:, :, None]
                here = seen.within(strip).slices
                summed[here] += weight * value[seen.within(region.box).slices]
                total[here] += weight
            yield strip, summed / np.maximum(total, np.finfo(float).tiny), total > 0
            showing = [
                one for one in showing if one[0].window.shown.top + one[0].window.shown.height > bottom
            ]


def _bottom(box: Box) -> int:
    return box.top + box.height
