"""Fills images: lays windows over each hole, fills them in batches, merges and post-processes them.

    requests ─► windows ─► regions ─► RegionFiller ─► parts ─► merge ─► finer levels ─► Inpainted

An image is complete as soon as its last window is filled, so that its result can be used while others are
still being filled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool

from maskmend.decoding.loop import Step
from maskmend.fill import rendering
from maskmend.fill.crops import Region, cut_region
from maskmend.fill.events import FillEvents
from maskmend.fill.familiarity import Domain, quantization_distance, texture_distance, with_familiarity
from maskmend.fill.finishing import interpolated, refined
from maskmend.fill.guide import guided
from maskmend.fill.levels import Level, cell_count, plan_levels
from maskmend.fill.merge import RegionFill, merge_regions
from maskmend.fill.preview import previews
from maskmend.fill.region_filler import RegionFiller
from maskmend.fill.requests import FillRequest
from maskmend.fill.result import Inpainted, untouched
from maskmend.fill.sharpness import with_sharpness
from maskmend.fill.timer import Timer
from maskmend.fill.windows import FULLEST, FULLEST_GUESSED, Window, lay_windows, window_batches
from maskmend.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFiller:
    """Fills images with the settings of one call."""

    regions: RegionFiller
    """Fills what is seen through the windows."""
    settings: Settings
    guesses: bool
    """Whether the model was trained to refine a coarser fill."""
    domain: Domain | None
    """What the model learnt, where that is known."""
    events: FillEvents

    @torch.inference_mode()
    def fill(self, requests: Sequence[FillRequest]) -> list[Inpainted]:
        """One result for each request, in their order."""
        with self._timed("crop"):
            windows = [self._windows(request.mask) for request in requests]
            levels = [self._levels(request.mask, own) for request, own in zip(requests, windows, strict=True)]
        counts = [len(own) for own in windows]
        finer = [cell_count(own) for own in levels]
        parts: list[list[RegionFill]] = [[] for _ in requests]
        results: dict[int, Inpainted] = {}

        def finish(image: int) -> None:
            result = self._joined(requests[image], parts[image], windows[image])
            results[image] = self._finished(result, requests[image], levels[image], image)
            if self.events.on_result is not None:
                self.events.on_result(image, results[image])

        for image, count in enumerate(counts):
            if count == 0:
                finish(image)
        for batch in window_batches(counts, len(requests[0].seeds)):
            with self._timed("crop"):
                regions = [self._cut(requests[i], windows[i][number]) for i, number in batch]

            def on_step(
                step: Step,
                batch: Sequence[tuple[int, int]] = batch,
                regions: Sequence[Region] = regions,
            ) -> None:
                self._report_step(step, batch, regions, counts, finer)

            seeds = [requests[i].seeds for i, _ in batch]
            filled = self.regions.fill(regions, seeds, self.settings, on_step)
            for (image, _), part in zip(batch, filled, strict=True):
                parts[image].append(part)
                if len(parts[image]) == counts[image]:
                    finish(image)
        return [results[image] for image in range(len(requests))]

    def _windows(self, mask: Bool[np.ndarray, "H W"]) -> list[Window]:
        return lay_windows(
            mask,
            self._resolution,
            context=self.settings.context,
            most=self.settings.windows,
            fullest=FULLEST_GUESSED if self.guesses else FULLEST,
        )

    def _levels(self, mask: Bool[np.ndarray, "H W"], windows: Sequence[Window]) -> list[Level]:
        """The finer scales at which a hole is redrawn."""
        detail = self.settings.detail
        if detail == "auto" and not self.guesses:
            return []
        return plan_levels(mask, windows, self._resolution, detail)

    def _cut(self, request: FillRequest, window: Window) -> Region:
        """What the model sees through a window."""
        pixels, mask, strategy = request.picture.pixels, request.mask, self.settings.infill
        region = cut_region(pixels, mask, window, self._resolution, strategy=strategy)
        if request.guide is None:
            return region
        strength = self.settings.guide_strength
        return guided(region, pixels, mask, request.guide, strategy=strategy, strength=strength)

    def _report_step(
        self,
        step: Step,
        batch: Sequence[tuple[int, int]],
        regions: Sequence[Region],
        counts: Sequence[int],
        finer: Sequence[int],
    ) -> None:
        """Reports a decoding step of some windows, given as (image, number of the window)."""
        if self.events.on_step is not None:
            self.events.on_step(step)
        if self.events.on_preview is not None:
            decode, seam = partial(rendering.decode_pictures, self.regions.tokenizer), self.settings.seam
            for preview in previews(
                step, batch, regions, counts=counts, finer=finer, seam=seam, decode_pictures=decode
            ):
                self.events.on_preview(preview)

    def _joined(
        self, request: FillRequest, parts: Sequence[RegionFill], windows: Sequence[Window]
    ) -> Inpainted:
        """The fills of all windows of an image, merged into its picture; known pixels are unchanged."""
        picture, mask, seeds, settings = request.picture, request.mask, request.seeds, self.settings
        if not windows:
            return untouched(picture, mask, seeds, settings)
        grid, factor = self.regions.tokenizer.config.grid, self.regions.tokenizer.config.factor
        with self._timed("composite"):
            result = merge_regions(picture, mask, parts, seeds, settings, grid=grid, factor=factor)
            return with_familiarity(result, self._distance(parts), self.domain)

    def _distance(self, parts: Sequence[RegionFill]) -> float | None:
        """How far the picture is from what the model learnt, measured as its limit was."""
        if self.domain is None:
            return None
        if self.domain.texture is not None:
            return texture_distance([part.region for part in parts], self.domain.texture)
        return quantization_distance([part.distances for part in parts], [part.hole for part in parts])

    def _finished(
        self, result: Inpainted, request: FillRequest, levels: Sequence[Level], image: int
    ) -> Inpainted:
        """`result` refilled at finer scales, and interpolated where its surroundings are plain."""
        settings = result.settings
        windows = [region.window for region in result.regions]
        if levels:
            with self._timed("refine"):
                result = refined(result, levels, self.regions, image=image, on_level=self.events.on_level)
        if self.guesses and settings.detail == "auto":
            result = with_sharpness(result, levels, self._resolution)
        if windows and settings.plain > 0:
            with self._timed("composite"):
                guide = request.guide if settings.guide_strength > 0 else None
                result = interpolated(result, settings.plain, guide)
        return result

    @property
    def _resolution(self) -> int:
        return self.regions.tokenizer.config.resolution

    def _timed(self, stage: str) -> Timer:
        return Timer(self.regions.seconds, stage)
