"""The squares of a picture, called windows, through which the model fills a hole.

    mask (H, W) ─► parts of the hole, far from each other ─► windows on each part: one, or many

Distant holes get separate windows: in one square around all of them, scaled to the model's resolution, none
would have enough detail. For the same reason a long, thin hole, such as a scratch, gets a row of windows.
Their middle halves, the cells, lie side by side; the fills of neighbouring cells fade into each other across
their border.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from maskmend.errors import ConfigError
from maskmend.masks.box import Box

FULLEST = 0.25
"""Largest share of hole in a window that is one of several: what the model was trained with, and known pixels
enough on all sides."""
FULLEST_GUESSED = 0.5
"""The same for models that were trained with holes of any size (`TransformerConfig.guesses`)."""
SHRUNK = 2
"""A single window is good enough as long as it is less than this many times as wide as each of several."""
USUAL = 0.75
"""`context` up to which a single window's width counts: what is seen around a hole makes it no longer."""


@dataclass(frozen=True, kw_only=True)
class Window:
    box: Box
    """The square that the model sees."""
    part: Box
    """Bounds of the part of the hole that is filled."""
    cell: Box | None = None
    """The window's middle, which may reach beyond the picture; None where it is the only one of its part."""

    @property
    def shown(self) -> Box:
        """Where box and part overlap: the fill shows nowhere else."""
        top, left = max(self.box.top, self.part.top), max(self.box.left, self.part.left)
        bottom = min(self.box.top + self.box.height, self.part.top + self.part.height)
        right = min(self.box.left + self.box.width, self.part.left + self.part.width)
        return Box(top=top, left=left, height=bottom - top, width=right - left)

    def weight(self, rows: slice = slice(None)) -> Float[np.ndarray, "h w"]:
        """How much its fill counts at each pixel of `shown`, or of some of its rows.

        1 in the cell's middle, 1/2 at its border, 0 from half as far beyond. Where there are cells on all
        sides their weights add up to 1.
        """
        if self.cell is None:
            return np.ones((len(range(self.shown.height)[rows]), self.shown.width))
        down = _fade(self.shown.top, self.shown.height, self.cell.top, self.cell.height)
        return down[rows, None] * _fade(self.shown.left, self.shown.width, self.cell.left, self.cell.width)


def _fade(start: int, length: int, cell: int, side: int) -> Float[np.ndarray, "L"]:
    middles = np.arange(start, start + length) + 0.5
    return np.clip(1.5 - np.abs(2 * (middles - cell) - side) / side, 0, 1)


def lay_windows(
    mask: Bool[np.ndarray, "H W"],
    resolution: int,
    *,
    context: float,
    most: int,
    fullest: float = FULLEST,
) -> list[Window]:
    """The windows of a hole, part by part from top to bottom; none of an empty hole.

    A part is seen through one square, wider than the part by `context` of it on either side, unless smaller
    windows hold it, of side `resolution` or twice, four times ... that: no more than `most`, and none with a
    larger share of hole than `fullest`.
    """
    windows: list[Window] = []
    for part in split_hole(mask, resolution, context=context):
        alone, usual = (
            square_around(part, mask.shape, context=around, minimum=resolution)
            for around in (context, min(context, USUAL))
        )
        windows.extend(
            _several(mask, part, usual, resolution, most, fullest) or [Window(box=alone, part=part)]
        )
    return windows


def window_batches(counts: Sequence[int], samples: int, at_once: int = 16) -> Iterator[list[tuple[int, int]]]:
    """In which batches the windows of several images are decoded: (image, number of the window) for each.

    A batch takes equally many windows of every image that still has some, no more than the least of them has
    left, so that no image waits for one with many windows; all samples of `at_once` windows, or one window of
    each image where that is more.

    Args:
        counts: how many windows each image has.
        samples: fills of each window.
    """
    done = 0
    while active := [image for image, count in enumerate(counts) if count > done]:
        least = min(counts[image] for image in active) - done
        each = max(1, min(at_once // (len(active) * samples), least))
        yield [(i, number) for i in active for number in range(done, done + each)]
        done += each


def boxes_by_part(windows: Sequence[Window]) -> list[tuple[Box, list[Box]]]:
    """Each part of the hole with what its windows, which follow each other, show of the picture."""
    return [
        (part, [window.box for window in group])
        for part, group in groupby(windows, key=lambda window: window.part)
    ]


def bounds(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of these."""
    top, left = min(box.top for box in boxes), min(box.left for box in boxes)
    bottom = max(box.top + box.height for box in boxes)
    right = max(box.left + box.width for box in boxes)
    return Box(top=top, left=left, height=bottom - top, width=right - left)


def square_around(bounds: Box, shape: tuple[int, ...], *, context: float, minimum: int) -> Box:
    """The square around a hole's bounds, wider than its longer side by `context` of it on either side.

    The side is at least `minimum` pixels. Near the border of the image of this `shape` the square is shifted
    inwards; where it is larger than the image's shorter side it shrinks to that, giving up context before
    shape. It becomes a rectangle where a square would hold less of the surroundings that the image has, along
    one of its axes, than a quarter of the hole's longer side (or `context`, if less) on either side: around a
    strip across the image, or its continuation beyond a border. It always holds the whole hole.
    """
    if context < 0 or minimum < 1:
        raise ConfigError(f"context is {context} and minimum {minimum}: give context >= 0 and minimum >= 1.")
    longest = max(bounds.height, bounds.width)
    side = max(ceil(longest * (1 + 2 * context)), minimum)
    side = max(min(side, *shape), longest)
    spans = ((bounds.top, bounds.height), (bounds.left, bounds.width))
    least = ceil(2 * min(context, 0.25) * longest)  # of both sides of the hole together
    lengths = [min(max(side, extent + least), whole) for (_, extent), whole in zip(spans, shape, strict=True)]
    starts = [
        min(max((2 * start + extent - length) // 2, 0), whole - length)
        for (start, extent), length, whole in zip(spans, lengths, shape, strict=True)
    ]
    return Box(top=starts[0], left=starts[1], height=lengths[0], width=lengths[1])


def _several(
    mask: Bool[np.ndarray, "H W"], part: Box, usual: Box, resolution: int, most: int, fullest: float
) -> list[Window]:
    """The windows of a part; none where a single one, of `usual` context, is good enough."""
    side = resolution
    count = None
    while SHRUNK * side <= max(usual.height, usual.width):
        count = count or _counter(mask[part.slices], part)
        cells = [cell for cell in cells_over(part, max(1, side // 2)) if count(cell)]
        windows = [Window(box=around_cell(cell, side, mask.shape), part=part, cell=cell) for cell in cells]
        if len(cells) <= most and all(
            count(window.box) <= fullest * window.box.height * window.box.width for window in windows
        ):
            return windows
        side *= 2
    return []


def _counter(mask: Bool[np.ndarray, "h w"], part: Box) -> Callable[[Box], int]:
    """What counts the pixels of a part's hole (`mask`) in a box."""
    sums = np.zeros((part.height + 1, part.width + 1), dtype=np.int32)  # no picture has 2^31 pixels
    inner = sums[1:, 1:]
    np.cumsum(mask, 0, dtype=np.int32, out=inner)
    for row in inner:
        np.cumsum(row, out=row)

    def count(box: Box) -> int:
        top, bottom = np.clip([box.top - part.top, box.top + box.height - part.top], 0, part.height)
        left, right = np.clip([box.left - part.left, box.left + box.width - part.left], 0, part.width)
        return int(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])

    return count


def cells_over(part: Box, side: int) -> list[Box]:
    """Squares side by side that cover a part, as far beyond it on one side as on the other."""
    down, across = -(-part.height // side), -(-part.width // side)
    top = part.top - (down * side - part.height) // 2
    left = part.left - (across * side - part.width) // 2
    return [
        Box(top=top + row * side, left=left + column * side, height=side, width=side)
        for row in range(down)
        for column in range(across)
    ]


def around_cell(cell: Box, side: int, shape: tuple[int, ...]) -> Box:
    """A square of `side` with the cell in its middle, or as near to that as the picture allows."""
    starts, lengths = [], []
    for start, whole in zip((cell.top, cell.left), shape, strict=True):
        lengths.append(min(side, whole))
        starts.append(min(max(start + cell.height // 2 - side // 2, 0), whole - lengths[-1]))
    return Box(top=starts[0], left=starts[1], height=lengths[0], width=lengths[1])


def split_hole(mask: Bool[np.ndarray, "H W"], resolution: int, *, context: float) -> list[Box]:
    """The bounds of the separately filled parts of a hole, from top to bottom; none for an empty hole.

    Parts are joined as long as the squares around them (`square_around`) overlap, so that no part's square
    has a pixel of another part, and neighbouring holes are filled together.
    """
    corners = _pieces(mask, resolution, context)
    if not corners:
        return []
    if mask.shape == (resolution, resolution):
        corners = [_around(corners)]
    while True:
        corners.sort()
        boxes = [
            Box(top=top, left=left, height=bottom - top, width=right - left)
            for top, left, bottom, right in corners
        ]
        squares = [square_around(box, mask.shape, context=context, minimum=resolution) for box in boxes]
        groups = _overlapping(squares)
        if groups.max() + 1 == len(boxes):
            return boxes
        together: list[list[Corners]] = [[] for _ in range(groups.max() + 1)]
        for group, corner in zip(groups, corners, strict=True):
            together[group].append(corner)
        corners = [_around(some) for some in together]


Corners = tuple[int, int, int, int]
"""Top, left, bottom, right."""


def _around(corners: list[Corners]) -> Corners:
    tops, lefts, bottoms, rights = zip(*corners, strict=True)
    return min(tops), min(lefts), max(bottoms), max(rights)


def _pieces(mask: Bool[np.ndarray, "H W"], resolution: int, context: float) -> list[Corners]:
    """The bounds of pieces of the hole that are certainly parts of one.

    A square is wider than its hole by at least resolution * 2c / (1 + 2c) in all, half of it on either side:
    holes closer than that have overlapping squares. (In pictures too narrow for such squares, more are joined
    than necessary.) Pieces are found on a grid of half that distance, as there may be a million specks.
    """
    cell = max(1, int(resolution * context / (1 + 2 * context)))
    padding = [(0, -side % cell) for side in mask.shape]
    rows, columns = (-(-side // cell) for side in mask.shape)
    cells = np.pad(mask, padding).reshape(rows, cell, columns, cell)
    # (rows, columns, cell): what each cell holds.
    down, across = np.asarray(cells.any(axis=3)).transpose(0, 2, 1), np.asarray(cells.any(axis=1))
    row, column = np.nonzero(down.any(2))
    if not len(row):
        return []
    piece = _connected(row, column)
    corners = np.empty((piece.max() + 1, 4), dtype=np.int64)
    for side, (held, start) in enumerate(((down[row, column], row), (across[row, column], column))):
        first, last = held.argmax(1), cell - held[:, ::-1].argmax(1)
        corners[:, side], corners[:, side + 2] = max(mask.shape), 0
        np.minimum.at(corners[:, side], piece, start * cell + first)
        np.maximum.at(corners[:, side + 2], piece, start * cell + last)
    return [(top, left, bottom, right) for top, left, bottom, right in corners.tolist()]


def _connected(row: Int[np.ndarray, "N"], column: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """A number for each cell, the same for those that touch, also at a corner or by way of others."""
    count = len(row)
    number = np.full((row.max() + 2, column.max() + 3), -1)
    number[row, column + 1] = np.arange(count)
    pairs = [(number[row + down, column + 1 + right]) for down, right in ((0, 1), (1, -1), (1, 0), (1, 1))]
    ones, others = np.tile(np.arange(count), len(pairs)), np.concatenate(pairs)
    touch = others >= 0
    edges = (np.ones(int(touch.sum()), dtype=bool), (ones[touch], others[touch]))
    return connected_components(coo_matrix(edges, shape=(count, count)), directed=False)[1]


def _overlapping(squares: list[Box]) -> Int[np.ndarray, "P"]:
    """A number for each square, the same for those that overlap, directly or by way of others."""
    top, left, height, width = (
        np.array([getattr(box, name) for box in squares]) for name in ("top", "left", "height", "width")
    )
    meet = (top[:, None] < (top + height)[None]) & (left[:, None] < (left + width)[None])
    return connected_components(meet & meet.T, directed=False)[1]
