"""Many samples of one hole in small batches, so that memory use does not grow with their number.

The same seed gives the same fill in any batch, so the result equals one call with all seeds.
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
"""Fills decoded together: larger batches are hardly faster and take more memory."""
PIXELS = 64_000_000
"""Maximum total pixels of filled pictures in memory (but at least one picture)."""


@dataclass(frozen=True, kw_only=True)
class SampleBatch:
    """A batch of the fills."""

    first: int
    """Index of its first fill among all."""
    result: Inpainted
    best: int
    """Index among all of the best fill so far."""
    left: int
    """Number of fills still to come."""


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
) -> Iterator[SampleBatch]:
    """Yields the fills of seeds seed, seed + 1, ... in batches.

    `guide` and `options` are as for a call of the pipeline. With `context_box` the model sees only that part
    of the picture (`fill.context_box`).

    Raises what such a call raises; ConfigError before the first fill for seeds out of range.
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
        yield SampleBatch(first=first, result=result, best=best, left=samples - first - len(some))
