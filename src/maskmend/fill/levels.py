"""Coarse to fine: a wide hole is filled at a coarse scale, then refilled at finer ones, up to full size.

    coarse fill ─ upscale ─► guess in the hole ─► windows of the next scale ─► fill ─ upscale ─► ...

A hole wider than the model's resolution is first filled at the scale at which it fits. That fill is blurred
once upscaled, so it serves as a guess: at each finer scale, by a factor of about two, it occupies the hole
while the model encodes and fills windows of its own resolution. Known pixels are the true ones at each scale.

The windows' middle halves, the cells, tile the hole as a checkerboard. Cells of one colour are filled first;
for those of the other colour they are known pixels, so neighbours continue each other without blending. No
original pixels of the hole are used: each scale starts from the filled picture of the one before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from maskmend.fill.compositing import composite
from maskmend.fill.crops import Region, enlarge, shrink_mask
from maskmend.fill.windows import Window, around_cell, bounds, boxes_by_part, cells_over
from maskmend.images.tensors import to_tensor
from maskmend.masks.box import Box
from maskmend.progress import Count, Progress
from maskmend.seeds import window_seed

MOST_WINDOWS = 512
"""With detail = "auto", the windows of one fill beyond which no finer scale begins: about half a minute."""
BATCH = 16
"""Windows that are decoded together."""
KEPT_BELOW = 2.0
"""Standard deviation, in pixels of a level, of the blur below which a window keeps the guess's brightness and
colour: the model adds the detail. Without it contrast grows from level to level (12 validation photographs,
blobs: LPIPS 0.1109 without, 0.1076 with 2 pixels, 0.1098 with 4)."""

Refill = Callable[[Sequence[Region], Sequence[int]], Sequence[Float[np.ndarray, "R R 3"]]]
"""The model's pictures, in grey levels, of regions whose holes hold a guess; one seed each."""


@dataclass(frozen=True, kw_only=True)
class LevelProgress:
    """The progress of one fill from coarse to fine."""

    image: int
    """Place of the image in the batch."""
    sample: int
    level: int
    """Which finer scale, from 1, over all wide parts of the hole."""
    levels: int
    windows: int
    """Windows done so far, over all levels."""
    total: int
    """Windows in all."""
    seconds_left: float
    """Of this fill, estimated from the time of the windows so far."""
    pixels: UInt8[np.ndarray, "H W 3"] | None = None
    """The picture when a level is finished, else None. Later levels change it in place: copy to keep it."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """One scale of one wide part of a hole."""

    box: Box
    """The rectangle of the picture that is worked on."""
    scale: float
    """Pixels of the picture to a pixel of this level."""
    size: tuple[int, int]
    """Its height and width at this scale, in pixels."""
    cells: tuple[tuple[Box, int], ...]
    """Cells that hold hole pixels, in pixels of this scale, and their colours: 0 or 1."""


def plan_levels(
    mask: Bool[np.ndarray, "H W"], windows: Sequence[Window], resolution: int, detail: str | int
) -> list[Level]:
    """The finer scales of a hole that `windows` fill, in the order in which they are filled.

    Args:
        mask: the hole.
        windows: as `lay_windows` lays them; a part whose windows are of the model's size has no finer scale.
        resolution: side of the model's view.
        detail: "full": up to the picture's own scale; "auto": likewise, but no scale begins that would bring
            the number of windows above `MOST_WINDOWS`; a number: at most that many scales.
    """
    levels: list[Level] = []
    count = 0
    most = detail if isinstance(detail, int) else 64
    for part, boxes in boxes_by_part(windows):
        box = bounds(boxes)
        shrunk = coarse_scale(boxes, resolution)
        for scale in _scales(shrunk)[:most]:
            size = round(box.height / scale), round(box.width / scale)
            if min(size) < resolution:
                continue
            hole = shrink_mask(_cut(mask, box, part), size)
            cells = tuple(_colour(hole, resolution // 2))
            if detail == "auto" and count + len(cells) > MOST_WINDOWS:
                break
            count += len(cells)
            levels.append(Level(box=box, scale=scale, size=size, cells=cells))
    # Coarse ones of all parts first: what a wide level enlarges beside its own cells is filled again later.
    return sorted(levels, key=lambda level: -level.scale)


def coarse_scale(boxes: Sequence[Box], resolution: int) -> float:
    """Picture pixels to one pixel of a part's coarse fill, given what its windows show of the picture."""
    return max(max(box.height, box.width) for box in boxes) / resolution


def cell_count(levels: Sequence[Level]) -> int:
    """How many windows these levels have in all."""
    return sum(len(level.cells) for level in levels)


def refine(
    pixels: UInt8[np.ndarray, "H W 3"],
    mask: Bool[np.ndarray, "H W"],
    levels: Sequence[Level],
    refill: Refill,
    *,
    resolution: int,
    seam: str,
    seed: int,
    progress: Progress | None = None,
    finished: Callable[[int, UInt8[np.ndarray, "H W 3"]], object] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """`pixels`, a picture whose hole (mask True) is filled coarsely, with the hole refilled level by level.

    Pixels outside the mask come back as they are. `progress` is called with the level's number, from 1, and
    the number of windows filled since the last call; `finished` with the level's number and the picture when
    the level is done.
    """
    result = pixels.copy()
    for number, level in enumerate(levels, start=1):
        here = level.box.slices
        crop, hole = result[here], mask[here]
        canvas, open_hole = crop, hole
        if crop.shape[:2] != level.size:
            height, width = level.size
            scaled = Image.fromarray(np.ascontiguousarray(crop)).resize(
                (width, height), Image.Resampling.LANCZOS
            )
            canvas, open_hole = np.asarray(scaled), shrink_mask(hole, level.size)
        on_count = None if progress is None else (lambda done, n=number: progress(n, done))
        refilled = _fill_level(canvas, open_hole, level, refill, resolution, seam, (seed, number), on_count)
        if refilled.shape != crop.shape:
            whole = Box(top=0, left=0, height=crop.shape[0], width=crop.shape[1])
            refilled = composite(crop, enlarge(refilled.astype(np.float32), whole), hole, seam=seam)
        result[here] = np.where(
            (hole & _covered(level, (level.box.height, level.box.width)))[:, :, None], refilled, crop
        )
        if finished is not None:
            finished(number, result)
    return result


def _fill_level(
    canvas: UInt8[np.ndarray, "h w 3"],
    hole: Bool[np.ndarray, "h w"],
    level: Level,
    refill: Refill,
    resolution: int,
    seam: str,
    seeds: tuple[int, int],
    progress: Count | None,
) -> UInt8[np.ndarray, "h w 3"]:
    from scipy.ndimage import gaussian_filter  # takes as long to load as a small hole to fill

    canvas, unfilled = canvas.copy(), hole.copy()
    numbered = list(enumerate(level.cells))
    for colour in (0, 1):
        cells = [(number, cell) for number, (cell, its) in numbered if its == colour]
        before, left = canvas.copy(), unfilled.copy()
        for start in range(0, len(cells), BATCH):
            batch = cells[start : start + BATCH]
            regions = [_region(before, left, cell, resolution) for _, cell in batch]
            fills = refill(regions, [window_seed(*seeds, number) for number, _ in batch])
            for (_, cell), region, fill in zip(batch, regions, fills, strict=True):
                box = region.box
                kept = gaussian_filter(before[box.slices] - fill, (KEPT_BELOW, KEPT_BELOW, 0), mode="nearest")
                merged = composite(before[box.slices], fill + kept, left[box.slices], seam=seam)
                own = _inside(cell, hole.shape)
                new = merged[own.within(box).slices]
                canvas[own.slices] = np.where(left[own.slices][:, :, None], new, canvas[own.slices])
                unfilled[own.slices] = False
            if progress is not None:
                progress(len(batch))
    return canvas


def _covered(level: Level, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Which pixels of the level's box its cells cover."""
    covered = np.zeros(level.size, dtype=bool)
    for cell, _ in level.cells:
        covered[_inside(cell, level.size).slices] = True
    return covered if level.size == shape else shrink_mask(covered, shape)


def _region(
    canvas: UInt8[np.ndarray, "h w 3"], hole: Bool[np.ndarray, "h w"], cell: Box, resolution: int
) -> Region:
    box = around_cell(cell, resolution, hole.shape)
    window = Window(box=box, part=box, cell=cell)
    image = to_tensor(np.ascontiguousarray(canvas[box.slices]))
    mask = torch.from_numpy(np.ascontiguousarray(hole[box.slices]))[None, None]
    return Region(window=window, image=image, mask=mask, guess=True)


def _scales(shrunk: float) -> list[float]:
    """Picture pixels to one pixel of a level, from the first finer scale down to 1, given that of the coarse
    fill: steps of about two, a little more at most."""
    count = max(0, ceil(log2(shrunk) - 0.2)) if shrunk > 1 else 0
    return [shrunk ** (1 - step / count) for step in range(1, count + 1)]


def _cut(mask: Bool[np.ndarray, "H W"], box: Box, part: Box) -> Bool[np.ndarray, "h w"]:
    """The hole of one part within a box."""
    alone = np.zeros_like(mask[box.slices])
    inside = part.within(box).slices
    alone[inside] = mask[part.slices]
    return alone


def _colour(hole: Bool[np.ndarray, "h w"], side: int) -> Iterator[tuple[Box, int]]:
    down, across = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    part = Box(
        top=int(down[0]),
        left=int(across[0]),
        height=int(down[-1] - down[0] + 1),
        width=int(across[-1] - across[0] + 1),
    )
    first: Box | None = None
    for cell in cells_over(part, side):
        first = first or cell
        own = _inside(cell, hole.shape)
        if hole[own.slices].any():
            yield cell, ((cell.top - first.top) // side + (cell.left - first.left) // side) % 2


def _inside(cell: Box, shape: tuple[int, ...]) -> Box:
    """The part of a cell that lies within a picture of this shape."""
    top, left = max(cell.top, 0), max(cell.left, 0)
    bottom, right = min(cell.top + cell.height, shape[0]), min(cell.left + cell.width, shape[1])
    return Box(top=top, left=left, height=bottom - top, width=right - left)
