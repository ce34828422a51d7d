"""Crops around the hole: cut out, scaled to the model's resolution, and back.

    picture (H, W) ─ crop around the hole ─► infill ─► scale to R x R ─► model ─► scale back ─► composite

The hole is filled smoothly *before* scaling, because scaling mixes neighbouring pixels and nothing inside the
hole may reach the model. A scaled pixel belongs to the hole if any part of it did. `windows` determines which
squares are cropped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from maskmend.fill.compositing import composite
from maskmend.fill.windows import Window
from maskmend.images.infill import infill
from maskmend.images.picture import Picture, to_tensor, to_uint8
from maskmend.masks.box import Box

NOT_YET = 128
"""Grey of holes that are not filled yet."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A crop of a picture at the model's resolution."""

    window: Window
    """Its position in the picture."""
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
    hole = torch.from_numpy(np.ascontiguousarray(mask[box.slices]))[None, None]
    image = infill(to_tensor(np.ascontiguousarray(pixels[box.slices])), hole, strategy)
    if (box.height, box.width) != (resolution, resolution):
        size = (resolution, resolution)
        hole = torch.from_numpy(shrink_mask(hole[0, 0].numpy(), size))[None, None]
        # Once more at the model's resolution: what training saw is a smooth fill of the hole at this size.
        image = infill(scaled_to(image, size), hole, strategy)
    return Region(window=window, image=image, mask=hole)


def scaled_to(image: Float[Tensor, "1 3 H W"], size: tuple[int, int]) -> Float[Tensor, "1 3 h w"]:
    """The image in [-1, 1] at another size (height, width), of 256 levels."""
    height, width = size
    scaled = Image.fromarray(to_uint8(image)).resize((width, height), Image.Resampling.LANCZOS)
    return to_tensor(np.asarray(scaled))


def shrink_mask(hole: Bool[np.ndarray, "H W"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The hole at another size: a pixel is hole where any part of it was."""
    # Adaptive max pooling covers every input pixel whether it shrinks or enlarges.
    return (F.adaptive_max_pool2d(torch.from_numpy(hole)[None, None].float(), size) > 0)[0, 0].numpy()


def enlarge(
    fill: Float[np.ndarray, "H W C"], box: Box, kind: Image.Resampling = Image.Resampling.BICUBIC
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
    """The `values` (h, w, C) in the boxes of the regions, blended: for each part of the hole over its bounds,
    and where there are any. The regions of a part follow each other."""
    for part, pairs in groupby(zip(regions, values, strict=True), key=lambda pair: pair[0].window.part):
        summed, total = np.zeros(1), np.zeros((part.height, part.width, 1))
        for region, value in pairs:
            shown, weight = region.window.shown, region.window.weight()[:, :, None]
            if summed.ndim == 1:
                summed = np.zeros((part.height, part.width, value.shape[2]))
            here = shown.within(part).slices
            summed[here] += weight * value[shown.within(region.box).slices]
            total[here] += weight
        yield part, summed / np.maximum(total, np.finfo(float).tiny), total > 0
