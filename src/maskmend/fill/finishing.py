"""Post-processing of a fill after its windows are merged: finer levels, and interpolation in plain areas."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from maskmend.fill.crops import Region, filled_picture
from maskmend.fill.guide import Guide
from maskmend.fill.levels import Level, LevelProgress, cell_count, refine
from maskmend.fill.plain import interpolate_plain
from maskmend.fill.region_filler import RegionFiller
from maskmend.fill.result import Inpainted
from maskmend.fill.windows import bounds, boxes_by_part


def refined(
    result: Inpainted,
    levels: Sequence[Level],
    filler: RegionFiller,
    *,
    image: int,
    on_level: Callable[[LevelProgress], object] | None,
) -> Inpainted:
    """`result` with its pictures refilled at the finer scales, sample by sample.

    `image` is its index in the batch, which is passed to `on_level`.
    """
    settings = replace(result.settings, steps=result.settings.detail_steps, sweet_spot=None)
    progress = _Progress(result, levels, filler, image, on_level)

    def refill(regions: Sequence[Region], seeds: Sequence[int]) -> list[np.ndarray]:
        parts = filler.fill(regions, [(seed,) for seed in seeds], settings)
        return [part.fills[0] for part in parts]

    pictures = []
    for sample, (picture, seed) in enumerate(zip(result.pictures, result.seeds, strict=True)):
        progress.begin(sample)
        pixels = refine(
            picture.pixels,
            result.mask,
            levels,
            refill,
            resolution=filler.tokenizer.config.resolution,
            seam=settings.seam,
            seed=seed,
            progress=progress,
            finished=progress.finished,
        )
        pictures.append(filled_picture(result.source, result.mask, pixels))
    return replace(result, pictures=tuple(pictures))


class _Progress:
    """Counts the windows of one image and estimates the time left, sample by sample."""

    def __init__(
        self,
        result: Inpainted,
        levels: Sequence[Level],
        filler: RegionFiller,
        image: int,
        on_level: Callable[[LevelProgress], object] | None,
    ) -> None:
        self.image, self.on_level, self.levels = image, on_level, len(levels)
        self.total = cell_count(levels)
        self.pace = filler.seconds_each(result.settings.detail_steps)
        self.begin(0, report=False)

    def begin(self, sample: int, *, report: bool = True) -> None:
        self.sample, self.done, self.begun = sample, 0, time.perf_counter()
        if report:
            self(1, 0)

    def finished(self, level: int, pixels: np.ndarray) -> None:
        self(level, 0, pixels)

    def __call__(self, level: int, windows: int, pixels: np.ndarray | None = None) -> None:
        self.done += windows
        if self.on_level is None:
            return
        each = (time.perf_counter() - self.begun) / self.done if self.done else self.pace
        self.on_level(
            LevelProgress(
                image=self.image,
                sample=self.sample,
                level=level,
                levels=self.levels,
                windows=self.done,
                total=self.total,
                seconds_left=each * (self.total - self.done),
                pixels=pixels,
            )
        )


def interpolated(result: Inpainted, limit: float, guide: Guide | None = None) -> Inpainted:
    """`result` with its fills interpolated where their surroundings are plain and there is no guide.

    `limit` is `Settings.plain`.
    """
    pictures = []
    # What is drawn from a guide stays, and the interpolation beside it starts from there.
    mask = result.mask if guide is None else result.mask & ~guide.painted
    boxes = [bounds(boxes) for _, boxes in boxes_by_part([region.window for region in result.regions])]
    for picture in result.pictures:
        pixels = picture.pixels.copy()
        for box in boxes:
            here = box.slices
            pixels[here] = interpolate_plain(pixels[here], mask[here], limit)
        pictures.append(filled_picture(result.source, result.mask, pixels))
    return replace(result, pictures=tuple(pictures))
