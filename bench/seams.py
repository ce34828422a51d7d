"""Whether borders between windows show in the fills of a model.

    python bench/seams.py --images val.tar [--limit 30]

Squares of 256 pixels. The mean step, in grey levels, between neighbouring pixels in the hole is measured
across borders and beside them (`BESIDE`), along both axes, in the fills and in the true pictures:

    across / beside    1 where a border is like any other place; above the true pictures' where a seam shows;
                       below it where the fill is smoother there

Beside and not just anywhere, because fills are smoother in the middle of a hole, where some borders lie. Of
the checkerboard of the finest level (`fill.levels`) the cells' borders are measured, of windows in a row
(`fill.windows`) those of their cells, in whose neighbourhood one fill fades into the next. Intervals: 95 %,
bootstrap over pictures.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from scipy.ndimage import binary_dilation

from maskmend.experiments.photographs.scenes import load_scenes
from maskmend.fill.levels import plan_levels
from maskmend.fill.windows import FULLEST, FULLEST_GUESSED, bounds, boxes_by_part, lay_windows
from maskmend.masks.box import Box
from maskmend.masks.sets import draw_mask
from maskmend.metrics.bootstrap import bootstrap
from maskmend.pipeline import InpaintPipeline

SIDE = 256
KINDS = ("blobs", "strokes_photo", "text", "scratches")
PLACES = ("checkerboard", "row")
BESIDE = (3, 8)
"""Distances, in pixels, from a border that count as beside it."""
REPEATS = 1000


def borders_of(
    mask: Bool[np.ndarray, "H W"], pipe: InpaintPipeline
) -> dict[str, tuple[Bool[np.ndarray, "G W"], Bool[np.ndarray, "H G"]]]:
    """Where a border lies between a pixel and its neighbour below, and to the right."""
    settings, guesses = pipe.defaults, pipe.transformer.config.guesses
    windows = lay_windows(
        mask,
        pipe.resolution,
        context=settings.context,
        most=settings.windows,
        fullest=FULLEST_GUESSED if guesses else FULLEST,
    )
    levels = plan_levels(mask, windows, pipe.resolution, settings.detail) if guesses else []
    height, width = mask.shape
    borders = {
        place: (np.zeros((height - 1, width), dtype=bool), np.zeros((height, width - 1), dtype=bool))
        for place in PLACES
    }
    for level in levels:
        for cell, _ in level.cells if level.scale == 1 else ():
            _outline(borders["checkerboard"], cell, level.box.top, level.box.left)
    redrawn = {level.box for level in levels}
    again = {part for part, boxes in boxes_by_part(windows) if bounds(boxes) in redrawn}
    for window in windows:
        if window.cell is not None and window.part not in again:
            _outline(borders["row"], window.cell, 0, 0)
    return borders


def _outline(
    borders: tuple[Bool[np.ndarray, "G W"], Bool[np.ndarray, "H G"]], cell: Box, top: int, left: int
) -> None:
    down, right = borders
    first, start = cell.top + top, cell.left + left
    rows = slice(max(first, 0), max(first + cell.height, 0))
    columns = slice(max(start, 0), max(start + cell.width, 0))
    for row in (first - 1, first + cell.height - 1):
        if 0 <= row < len(down):
            down[row, columns] = True
    for column in (start - 1, start + cell.width - 1):
        if 0 <= column < right.shape[1]:
            right[rows, column] = True


def steps(
    pixels: UInt8[np.ndarray, "H W 3"],
    hole: Bool[np.ndarray, "H W"],
    borders: tuple[Bool[np.ndarray, "G W"], Bool[np.ndarray, "H G"]],
) -> np.ndarray:
    """Sum and number of steps across the borders, and of those beside them: (2, 2)."""
    sums = np.zeros((2, 2))
    for axis, border in enumerate(borders):
        one, two = (
            (slice(1, None), slice(None, -1)) if axis == 0 else (np.s_[:, 1:], np.s_[:, :-1])
        )  # the neighbours
        step = np.abs(pixels[one].astype(float) - pixels[two]).mean(2)
        inside = hole[one] & hole[two]
        line = np.ones((3, 1), dtype=bool) if axis == 0 else np.ones((1, 3), dtype=bool)
        near, far = (
            binary_dilation(border, line, iterations=distance) for distance in (BESIDE[0] - 1, BESIDE[1])
        )
        for row, where in enumerate((border, far & ~near)):
            sums[row] += step[inside & where].sum(), (inside & where).sum()
    return sums


def ratio(sums: np.ndarray) -> float:
    """Across over beside, of sums over pictures."""
    across, beside = sums[:, 0] / np.maximum(sums[:, 1], 1)
    return across / beside if beside else float("nan")


def row_of(name: str, ours: np.ndarray, truth: np.ndarray) -> str:
    """A line of the table; arrays (pictures, 2, 2)."""
    cells = [name, str(len(ours)), f"{int(ours[:, 0, 1].sum()):,}"]
    for sums in (ours, truth):
        across, beside = sums.sum(0)[:, 0] / sums.sum(0)[:, 1]
        interval = bootstrap(
            lambda counts, sums=sums: ratio(np.tensordot(counts, sums, 1)), len(sums), repeats=REPEATS, seed=0
        )
        cells += [
            f"{across:.2f} / {beside:.2f}",
            f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]",
        ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=30)
    parser.add_argument("--model", default="photo")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pipe = InpaintPipeline.from_pretrained(options.model)
    scenes = load_scenes(options.images, SIDE, options.limit)
    print("| borders | pictures | places | fills: across / beside | ratio | true: across / beside | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in options.kinds:
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {place: [] for place in PLACES}
        for number, scene in enumerate(scenes):
            mask = draw_mask(kind, 0, number, SIDE, SIDE)
            filled = pipe(scene.pixels, mask).pictures[0].pixels
            for place, borders in borders_of(mask, pipe).items():
                pair = steps(filled, mask, borders), steps(scene.pixels, mask, borders)
                if pair[0][:, 1].all():
                    found[place].append(pair)
        for place, pairs in found.items():
            if pairs:
                ours, truth = (np.array(each) for each in zip(*pairs, strict=True))
                print(row_of(f"{kind}, {place}", ours, truth), flush=True)


if __name__ == "__main__":
    main()
