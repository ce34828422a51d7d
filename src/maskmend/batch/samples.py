"""Many fills of one hole, a few at a time: memory does not grow with their number.

A seed gives the same fill in any batch, so that the fills are those of one call with all seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskmend.fill.context_box import cut_picture, cut_to_box, put_back
from maskmend.fill.result import Inpainted, best_of
from maskmend.images.picture import Picture
from maskmend.masks.box import Box
from maskmend.pipeline import InpaintPipeline
from maskmend.seeds import seeds_from

MOST = 16
"""Fills that are decoded together: more at once are hardly faster, and take memory."""
PIXELS = 64_000_000
"""Pixels of the filled pictures that are held at once, if that allows for one."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the fills."""

    first: int
    """Which of all fills its first one is."""
    result: Inpainted
    best: int
    """The best of all fills so far, counted among all."""
    left: int
    """How many are still to come."""


def fill_samples(
    pipe: InpaintPipeline,
    picture: Picture,
    mask: np.ndarray,
    *,
    samples: int,
    seed: int,
    guide: Picture | None = None,
    context_box: Box | None = None,
    **options: Any,
) -> Iterator[Part]:
    """Fills of seeds seed, seed + 1, ..., part by part.

    `guide` and `options` are those of a call of the pipeline. With `context_box` the model sees that part of
    the picture only (`fill.context_box`).

    Raises what such a call does; ConfigError for seeds out of range before the first fill.
    """
    seeds = seeds_from(seed, samples)
    height, width = picture.pixels.shape[:2]
    shown = (picture, mask)
    if context_box is not None:
        shown = cut_to_box(picture, mask, context_box)
        guide = None if guide is None else cut_picture(guide, context_box)
    at_once = max(1, min(MOST, PIXELS // (height * width)))
    likelihoods: list[float] = []
    for first in range(0, samples, at_once):
        some = seeds[first : first + at_once]
        result = pipe(*shown, guide=guide, samples=len(some), seed=some[0], **options)
        if context_box is not None:
            result = put_back(result, picture, mask, context_box)
        likelihoods += result.log_likelihood.tolist()
        best = best_of(np.array(likelihoods), result.settings.ranking)
        yield Part(first=first, result=result, best=best, left=samples - first - len(some))
