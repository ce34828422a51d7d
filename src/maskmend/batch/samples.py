"""Many fills of one hole, a few at a time: memory does not grow with their number.

A seed gives the same fill in any batch, so that the fills are those of one call with all seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskmend.fill.result import Inpainted, best_of
from maskmend.images.picture import Picture
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
    **options: Any,
) -> Iterator[Part]:
    """Fills of seeds seed, seed + 1, ..., part by part. `options` are those of a call of the pipeline.

    Raises what such a call does; ConfigError for seeds out of range before the first fill.
    """
    seeds = seeds_from(seed, samples)
    height, width = picture.pixels.shape[:2]
    at_once = max(1, min(MOST, PIXELS // (height * width)))
    likelihoods: list[float] = []
    for first in range(0, samples, at_once):
        some = seeds[first : first + at_once]
        result = pipe(picture, mask, samples=len(some), seed=some[0], **options)
        likelihoods += result.log_likelihood.tolist()
        best = best_of(np.array(likelihoods), result.settings.ranking)
        yield Part(first=first, result=result, best=best, left=samples - first - len(some))
