"""Guided fills: rough colours, painted into the hole, that the fill follows.

    guide (RGBA) ─ where it is opaque and the hole is ─► colours in place of the smooth infill ─► encode

For a model that was trained to refine a coarser fill (`guesses`) painted pixels are marked as a guess; for
other models the colours replace the infill before encoding. Colours outside the hole are ignored, and so is
the picture inside it: where the guide is transparent, the infill extends from known and painted pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from maskmend.errors import ImageError
from maskmend.fill.crops import Region, scaled_to, shrink_mask
from maskmend.images.infill import infill, infill_levels
from maskmend.images.picture import Picture, picture_from
from maskmend.images.tensors import ValueRange, to_tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Guide:
    """Colours for a part of a hole."""

    pixels: UInt8[np.ndarray, "H W 3"]
    painted: Bool[np.ndarray, "H W"]
    """Which pixels have a colour: hole pixels alone, one at least."""


def as_guide(picture: Picture, mask: Bool[np.ndarray, "H W"]) -> Guide | None:
    """The colours of `picture` in the hole (mask True); None where it has none there.

    Alpha above 0 is painted. Raises ImageError for a picture of another size, and for one without alpha: its
    colours would be guides everywhere, unpainted ones too.
    """
    if picture.pixels.shape[:2] != mask.shape:
        (height, width), (rows, columns) = picture.pixels.shape[:2], mask.shape
        raise ImageError(
            f"the guide is {width} x {height}, the image {columns} x {rows}: give a guide of its size."
        )
    if picture.alpha is None:
        raise ImageError(
            "the guide has no transparency: give RGBA, transparent wherever nothing is painted, as a layer "
            "saved as PNG."
        )
    painted = (picture.alpha > 0) & mask
    # Hidden colours are dropped: those under transparent pixels, and those outside the hole.
    pixels = np.where(painted[:, :, None], picture.pixels, np.uint8(0))
    return Guide(pixels=pixels, painted=painted) if painted.any() else None


def guides_from(
    guides: Sequence[Any],
    masks: Sequence[Bool[np.ndarray, "H W"]],
    value_range: ValueRange | None,
    convert: bool = False,
) -> list[Guide | None]:
    """One guide for each mask; entries of None are images without. Raises ImageError."""
    if len(guides) != len(masks):
        raise ImageError(
            f"{len(guides)} guides for {len(masks)} images: give one for each image, or None in its place"
        )
    found: list[Guide | None] = []
    for guide, mask in zip(guides, masks, strict=True):
        if guide is None:
            found.append(None)
            continue
        try:
            picture = picture_from(guide, value_range, convert=convert)
        except ImageError as error:
            raise ImageError(f"the guide cannot be used: {error}") from error
        found.append(as_guide(picture, mask))
    return found


def guided(
    region: Region,
    pixels: UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    guide: Guide,
    *,
    strategy: str,
    strength: float,
) -> Region:
    """`region` of the picture `pixels` with the guide's colours in its hole; its known pixels stay.

    Args:
        strategy: how holes are filled before encoding: the part of the hole without a colour, here.
        strength: 1: the guide's colours; below, mixed with the smooth infill. 0 changes nothing.
    """
    here = region.box.slices
    painted = guide.painted[here]
    if strength <= 0 or not painted.any():
        return region
    colours = np.where(painted[:, :, None], guide.pixels[here], pixels[here])
    hole = mask[here] & ~painted
    size = (region.mask.shape[2], region.mask.shape[3])
    if painted.shape == size:
        image = infill(to_tensor(colours), _batched(hole), strategy)
    else:
        painted = shrink_mask(painted, size)
        image = scaled_to(infill_levels(colours, hole, strategy), size)
        image = infill(image, region.mask & ~_batched(painted), strategy)
    mixed = image if strength >= 1 else _mixed(region.image, image, strength)
    # Scaling rings: known pixels stay those of the region without a guide.
    return replace(
        region, image=torch.where(region.mask, mixed, region.image), guess=region.mask & _batched(painted)
    )


def _mixed(
    smooth: Float[Tensor, "1 3 R R"], image: Float[Tensor, "1 3 R R"], strength: float
) -> Float[Tensor, "1 3 R R"]:
    return smooth + strength * (image - smooth)


def _batched(mask: Bool[np.ndarray, "H W"]) -> Bool[Tensor, "1 1 H W"]:
    return torch.from_numpy(np.ascontiguousarray(mask))[None, None]
