"""Merges the regions of a hole, filled independently, into one result.

region 1 ─► tokens, steps, fills ─┐
region 2 ─► tokens, steps, fills ─┴─► one picture; token grids stacked vertically; the steps of all
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskmend.decoding.loop import Step
from maskmend.fill.crops import Region, join, spread_entropy
from maskmend.fill.result import Inpainted
from maskmend.images.picture import Picture
from maskmend.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionFill:
    """The S fills of one region of N tokens."""

    region: Region
    given: Int[Tensor, "N"]
    """The tokens before the first step, masked in the hole."""
    hole: Bool[Tensor, "N"]
    distances: Float[Tensor, "N"]
    """Squared distance of each token's latent vector from its code."""
    tokens: Int[Tensor, "S N"]
    entropy: Float[Tensor, "N"]
    log_likelihood: Float[Tensor, "S"]
    """Sums over the hole's tokens."""
    history: tuple[Step, ...]
    fills: list[Float[np.ndarray, "R R 3"]]
    """The decoder's pictures, in grey levels."""


def merge_regions(
    picture: Picture,
    mask: Bool[np.ndarray, "H W"],
    parts: Sequence[RegionFill],
    seeds: tuple[int, ...],
    settings: Settings,
    *,
    grid: int,
    factor: int,
) -> Inpainted:
    """The result of a picture whose hole consists of one or more parts."""
    regions = tuple(part.region for part in parts)
    fills = zip(*(part.fills for part in parts), strict=True)  # of each sample
    hole = torch.cat([part.hole for part in parts])
    tokens = torch.cat([part.tokens for part in parts], dim=1)
    likelihood = torch.stack([part.log_likelihood for part in parts]).sum(0) / hole.sum().clamp_min(1)
    entropies = [part.entropy.view(grid, grid).cpu().numpy() for part in parts]
    return Inpainted(
        source=picture,
        mask=mask,
        pictures=tuple(join(picture, mask, regions, each, settings.seam) for each in fills),
        tokens=tokens.view(len(seeds), -1, grid).cpu().numpy(),
        hole=hole.view(-1, grid).cpu().numpy(),
        uncertainty=spread_entropy(entropies, mask, regions, factor),
        log_likelihood=likelihood.cpu().numpy(),
        seeds=seeds,
        history=parts[0].history if len(parts) == 1 else Steps(parts),
        regions=regions,
        settings=settings,
    )


class Steps(Sequence[Step]):
    """The steps of all parts, one part after the other; each step has the tokens of all parts.

    They are built on access, as storing them would take memory proportional to the square of the number of
    parts.
    """

    def __init__(self, parts: Sequence[RegionFill]) -> None:
        self._parts = tuple(parts)
        self._places = [(place, n) for place, part in enumerate(parts) for n in range(len(part.history))]

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        place, number = self._places[index]
        part, before, after = self._parts[place], self._parts[:place], self._parts[place + 1 :]
        step, samples = part.history[number], len(part.tokens)
        filled = [one.tokens for one in before]
        unmasked = [torch.zeros_like(tokens, dtype=torch.bool) for tokens in filled]
        given = [one.given.expand(samples, -1) for one in after]
        masked = [one.hole.expand(samples, -1) for one in after]
        return Step(
            index=range(len(self))[index] + 1,
            tokens=torch.cat([*filled, step.tokens, *given], dim=1),
            masked=torch.cat([*unmasked, step.masked, *masked], dim=1),
            candidate=torch.cat([*filled, step.candidate, *given], dim=1),
        )
