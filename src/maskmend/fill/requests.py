"""Checks the arguments of a fill and splits them by image.

one image or a batch, masks, guide, extend, seeds ─► FillRequest, one for each image
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from maskmend.errors import ConfigError, ImageError, MaskError
from maskmend.fill.guide import Guide, guides_from
from maskmend.images.canvas import Length, extend_canvas
from maskmend.images.picture import ImageLike, Picture, picture_from
from maskmend.images.tensors import ValueRange
from maskmend.masks.options import Channel, MaskOptions, PhotoCheck
from maskmend.masks.reading import MaskLike, as_mask
from maskmend.seeds import seeds_from


@dataclass(frozen=True, kw_only=True, eq=False)
class FillRequest:
    """One image to fill."""

    picture: Picture
    mask: Bool[np.ndarray, "H W"]
    """True where it is to be filled."""
    seeds: tuple[int, ...]
    """One for each sample."""
    guide: Guide | None = None


def read_requests(
    image: ImageLike | Sequence[ImageLike],
    mask: MaskLike | Sequence[MaskLike] | None,
    *,
    guide: ImageLike | Sequence[ImageLike | None] | None,
    extend: Mapping[str, Length] | str | None,
    value_range: ValueRange | None,
    convert: bool,
    samples: int,
    seed: int | Sequence[int],
    fit_mask: bool,
    invert_mask: bool,
    mask_channel: Channel,
    mask_threshold: float,
    mask_photo_check: PhotoCheck,
) -> tuple[list[FillRequest], bool]:
    """The images of a call, and whether it was given a batch; arguments as for `InpaintPipeline.__call__`.

    Raises ImageError, MaskError, ConfigError.
    """
    options = MaskOptions(
        threshold=mask_threshold,
        invert=invert_mask,
        channel=mask_channel,
        fit=fit_mask,
        photo_check=mask_photo_check,
    )
    if mask is None and extend is None:
        raise MaskError("no mask: give one of the image's size as `mask`, white where it is to be filled.")
    images, many = _listed(image)
    stacked = many and isinstance(image, np.ndarray | Tensor)
    masks = [None] * len(images) if mask is None else _listed(mask, axes=3 if stacked else 4)[0]
    if len(images) != len(masks) or not images:
        raise ImageError(f"{len(images)} images and {len(masks)} masks: give one mask for each image")
    seeds = _seeds(seed, len(images), samples)
    pictures = [picture_from(item, value_range, convert=convert) for item in images]
    holes = [
        np.zeros(picture.pixels.shape[:2], dtype=bool)
        if one is None
        else as_mask(one, size=picture.pixels.shape[:2], options=options)
        for one, picture in zip(masks, pictures, strict=True)
    ]
    if extend is not None:
        extended = [extend_canvas(p, extend, mask=m) for p, m in zip(pictures, holes, strict=True)]
        pictures, holes = [p for p, _ in extended], [m for _, m in extended]
    guides: list[Guide | None] = [None] * len(pictures)
    if guide is not None:
        guides = guides_from(_listed(guide)[0] if many else [guide], holes, value_range, convert)
    requests = [
        FillRequest(picture=p, mask=m, seeds=s, guide=g)
        for p, m, s, g in zip(pictures, holes, seeds, guides, strict=True)
    ]
    return requests, many


def _seeds(seed: int | Sequence[int], images: int, samples: int) -> list[tuple[int, ...]]:
    """The seeds of each image's samples."""
    # An array or tensor without axes calls itself iterable, and is one number.
    many = isinstance(seed, Iterable) and getattr(seed, "ndim", 1) > 0
    starts: list[Any] = list(cast("Iterable[int]", seed)) if many else [seed] * images
    seeds = [seeds_from(start, samples) for start in starts]
    if len(starts) != images:
        raise ConfigError(f"{len(starts)} seeds for {images} images: give one, or one for each")
    return seeds


def _listed(items: Any, axes: int = 4) -> tuple[list[Any], bool]:
    """The items of a batch (a list, or an array or tensor of `axes` axes) and whether it is one."""
    many = isinstance(items, list | tuple) or (isinstance(items, np.ndarray | Tensor) and items.ndim >= axes)
    return (list(items) if many else [items]), many
