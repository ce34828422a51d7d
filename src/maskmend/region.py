"""The part of a picture that the model sees: cut out around the hole, scaled to the model's size and back.

    picture (H, W) ─ crop around the hole ─► infill ─► scale to R x R ─► model ─► scale back ─► composite

The hole is filled smoothly *before* scaling, because scaling mixes neighbouring pixels and nothing inside the
hole may reach the model. A scaled pixel counts as hole when any part of it was hole.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from maskmend.compositing import composite
from maskmend.images import Picture, to_tensor, to_uint8
from maskmend.infill import infill
from maskmend.masks import Box, crop_box


@dataclass(frozen=True, kw_only=True)
class Region:
    """A crop of a picture at the model's resolution."""

    box: Box
    """Where it lies in the picture."""
    image: Float[Tensor, "1 3 R R"]
    """The crop, hole filled in, in [-1, 1]."""
    mask: Bool[Tensor, "1 1 R R"]
    """The hole at the model's resolution."""


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
    region: Region,
    fill: Float[np.ndarray, "R R 3"],
    seam: str,
) -> Picture:
    """`picture` with its hole taken from `fill`; filled pixels are opaque."""
    box = region.box
    pixels = picture.pixels.copy()
    inside = mask[box.slices]
    pixels[box.slices] = composite(picture.pixels[box.slices], enlarge(fill, box), inside, seam=seam)
    if picture.grey:
        # A greyscale file has one channel: the fill's brightness, the known pixels as they are.
        grey = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
        pixels = np.where(mask[:, :, None], grey, pixels)
    alpha = None if picture.alpha is None else np.where(mask, np.uint8(255), picture.alpha)
    return replace(picture, pixels=pixels, alpha=alpha)


def spread_entropy(
    entropy: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "H W"], region: Region, factor: int
) -> Float[np.ndarray, "H W"]:
    """The entropy of each token as a map over the picture, 0 at known pixels."""
    cells = entropy.repeat(factor, axis=0).repeat(factor, axis=1).astype(np.float32)
    spread = np.zeros(mask.shape, dtype=np.float32)
    spread[region.box.slices] = enlarge(cells[:, :, None], region.box, Image.Resampling.BILINEAR)[:, :, 0]
    return np.where(mask, spread, np.float32(0))
