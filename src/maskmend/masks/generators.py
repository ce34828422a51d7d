"""Random holes for training and evaluation.

Each generator is a pure function ``(rng, height, width, ...)`` that returns a bool array (height, width),
True = hole. All randomness comes from bounded integers of the generator, and all geometry is in integer
arithmetic, so the same seed gives the same hole on any machine (tests pin a hash per generator). Imaging
libraries are not used, as their rounding may change between versions. `random_walk` follows the masks of the
coursework, which look like the visited cells of a random walk over 15-24 % of the pixels;
`strokes` and `boxes` are like masks that people paint; `scratches`, `text`, `strokes_photo` and `blobs` are
like damage and unwanted objects in photographs.
"""

from collections.abc import Mapping
from itertools import pairwise
from math import ceil, floor, sqrt
from typing import Protocol

import numpy as np
from jaxtyping import Bool

from maskmend.config import nearest
from maskmend.errors import ConfigError
from maskmend.masks.brush import in_proportion, paint
from maskmend.masks.lettering import text
from maskmend.masks.outlines import fill_outline, irregular_outline

CURVE = 16
"""Segments of a scratch."""


class Hole(Protocol):
    """A generator with its defaults: what `HOLES` holds and `mixture` calls."""

    def __call__(self, rng: np.random.Generator, height: int, width: int) -> Bool[np.ndarray, "H W"]: ...


def random_walk(
    rng: np.random.Generator, height: int, width: int, share: tuple[float, float] = (0.15, 0.24)
) -> Bool[np.ndarray, "H W"]:
    """The pixels a 4-neighbour random walk has visited when it has covered `share` of the image.

    The walk starts anywhere; a step that would leave the image is not taken (the walk stays where it is).
    `share` is the range (lowest, highest) of the covered fraction; each hole draws one and meets it exactly.
    """
    aim = _pixel_count(rng, height, width, share)
    size = height * width
    first_visit = np.full(size, np.iinfo(np.int64).max)
    start = np.array([[rng.integers(height)], [rng.integers(width)]])
    moves = np.array([[-1, 1, 0, 0], [0, 0, -1, 1]])
    taken, chunk = 0, size
    while True:
        # A free walk folded at the borders is the walk that stays put at them, and needs no loop over steps.
        free = start + np.cumsum(moves[:, rng.integers(0, 4, size=chunk)], axis=1)
        rows, columns = _fold(free[0], height), _fold(free[1], width)
        np.minimum.at(first_visit, rows * width + columns, np.arange(taken, taken + chunk))
        if np.count_nonzero(first_visit < taken + chunk) >= aim:
            last = np.partition(first_visit, aim - 1)[aim - 1]
            return (first_visit <= last).reshape(height, width)
        start, taken = free[:, -1:], taken + chunk


def boxes(
    rng: np.random.Generator,
    height: int,
    width: int,
    side: tuple[int, int] | None = None,
    count: tuple[int, int] = (1, 1),
) -> Bool[np.ndarray, "H W"]:
    """Rectangles wholly inside the image; each has its own height and width, drawn from `side` in pixels.

    Without `side` it is 20 to 40 pixels of a 64 x 64 image, and in proportion of others. A side longer than
    the image is cut to it. `count` is the range of the number of rectangles.
    """
    side = side or in_proportion((20, 40), height, width)
    _check_range("side", side, 1, None)
    _check_range("count", count, 1, None)
    hole = np.zeros((height, width), dtype=bool)
    for _ in range(rng.integers(count[0], count[1] + 1)):
        tall, wide = (int(n) for n in np.minimum(rng.integers(side[0], side[1] + 1, size=2), (height, width)))
        top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
        hole[top : top + tall, left : left + wide] = True
    return hole


def strokes(
    rng: np.random.Generator,
    height: int,
    width: int,
    thickness: tuple[int, int] | None = None,
    share: tuple[float, float] = (0.05, 0.6),
) -> Bool[np.ndarray, "H W"]:
    """Brush strokes: poly-lines of 2-5 segments with round joints, as a person would paint a mask.

    `thickness` is the range of the brush's diameter in pixels, without it 6 to 12 of a 64 x 64 image and in
    proportion of others; painting stops exactly when the share drawn from `share` is covered, in the middle
    of a segment if need be. Segments reach up to a third of the image.
    """
    thickness = thickness or in_proportion((6, 12), height, width)
    _check_range("thickness", thickness, 1, None)
    missing = _pixel_count(rng, height, width, share)
    reach = np.maximum(np.array([height, width]) // 3, 1)
    hole = np.zeros((height, width), dtype=bool)
    while missing > 0:
        brush = int(rng.integers(thickness[0], thickness[1] + 1))
        here = np.array([rng.integers(height), rng.integers(width)])
        for _ in range(rng.integers(2, 6)):
            there = np.clip(here + rng.integers(-reach, reach + 1), 0, np.array([height, width]) - 1)
            missing -= paint(hole, here, there, brush, missing)
            here = there
            if missing == 0:
                break
    return hole


def strokes_thin(rng: np.random.Generator, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Many short, narrow strokes: 4 to 50 chains, brush 1 to 4 pixels, segments up to 12, of 64."""
    return _chains(rng, height, width, count=(4, 50), thickness=(1, 4), reach=12)


def strokes_medium(rng: np.random.Generator, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """A few longer strokes of any breadth: 4 or 5 chains, brush 1 to 14 pixels, segments up to 27, of 64."""
    return _chains(rng, height, width, count=(4, 5), thickness=(1, 14), reach=27)


def strokes_thick(rng: np.random.Generator, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Few long, broad strokes: 1 to 5 chains, brush 1 to 26 pixels, segments up to 52, of 64."""
    return _chains(rng, height, width, count=(1, 5), thickness=(1, 26), reach=52)


def _chains(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    count: tuple[int, int],
    thickness: tuple[int, int],
    reach: int,
    most: float = 0.7,
) -> Bool[np.ndarray, "H W"]:
    """Strokes after LaMa (Suvorov et al. 2021): chains of 1 to 5 segments, each with a breadth of its own.

    The lengths are those of LaMa's thin, medium and thick test masks at 256 x 256, scaled to 64 x 64, and in
    proportion at other sizes. At most the share `most` is covered, as there; painting stops where it is
    reached. LaMa adds rectangles to the medium and thick ones; those are `boxes` here.
    """
    least, widest = in_proportion(thickness, height, width)
    longest, _ = in_proportion((reach, reach), height, width)
    left = max(1, floor(most * height * width))
    corner = np.array([height, width]) - 1
    hole = np.zeros((height, width), dtype=bool)
    for _ in range(rng.integers(count[0], count[1] + 1)):
        here = np.array([rng.integers(height), rng.integers(width)])
        for _ in range(rng.integers(1, 6)):
            brush = int(rng.integers(least, widest + 1))
            there = np.clip(here + rng.integers(-longest, longest + 1, size=2), 0, corner)
            left -= paint(hole, here, there, brush, left)
            here = there
    return hole


def centre(rng: np.random.Generator, height: int, width: int, share: float = 0.25) -> Bool[np.ndarray, "H W"]:
    """The centred rectangle of the image's own shape that covers about `share` of it; draws nothing from
    `rng`."""
    del rng
    _check_range("share", (share, share), 0, 1)
    tall, wide = max(1, round(height * sqrt(share))), max(1, round(width * sqrt(share)))
    top, left = (height - tall) // 2, (width - wide) // 2
    hole = np.zeros((height, width), dtype=bool)
    hole[top : top + tall, left : left + wide] = True
    return hole


def border(
    rng: np.random.Generator, height: int, width: int, kept: tuple[float, float] = (0.5, 0.9)
) -> Bool[np.ndarray, "H W"]:
    """Outpainting: everything outside a random window whose sides are `kept` (range of fractions) of the
    image's."""
    _check_range("kept", kept, 0, 1)
    hole = np.ones((height, width), dtype=bool)
    tall = _whole_number(rng, kept, height)
    wide = _whole_number(rng, kept, width)
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    hole[top : top + tall, left : left + wide] = False
    return hole


def random_pixels(
    rng: np.random.Generator, height: int, width: int, share: tuple[float, float] = (0.15, 0.24)
) -> Bool[np.ndarray, "H W"]:
    """Single pixels scattered evenly over the image, as many as the fraction drawn from the range `share`."""
    hole = np.zeros(height * width, dtype=bool)
    hole[rng.permutation(height * width)[: _pixel_count(rng, height, width, share)]] = True
    return hole.reshape(height, width)


def scratches(rng: np.random.Generator, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Three to six long scratches, 3 to 10 pixels thick where the shorter side is 256, and in proportion.

    Each is a quadratic Bezier curve of one thickness between two points on the image's edges or near them; a
    bend of up to an eighth of the shorter side makes some nearly straight, others clearly curved.
    """
    thickness = in_proportion((3, 10), height, width, side=256)
    bend = min(height, width) // 4  # the curve itself goes half as far as its middle control point
    corner = np.array([height, width]) - 1
    hole = np.zeros((height, width), dtype=bool)
    for _ in range(rng.integers(3, 7)):
        axis = int(rng.integers(2))
        start, end = rng.integers(0, corner + 1), rng.integers(0, corner + 1)
        start[axis] = rng.integers(corner[axis] // 8 + 1)
        end[axis] = corner[axis] - rng.integers(corner[axis] // 8 + 1)
        middle = (start + end) // 2 + rng.integers(-bend, bend + 1, size=2)
        brush = int(rng.integers(thickness[0], thickness[1] + 1))
        points = [
            ((CURVE - t) ** 2 * start + 2 * t * (CURVE - t) * middle + t * t * end) // (CURVE * CURVE)
            for t in range(CURVE + 1)
        ]
        for here, there in pairwise(points):
            paint(hole, here, there, brush, hole.size)
    return hole


def strokes_photo(rng: np.random.Generator, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """`strokes` as over photographs: 3 to 36 % of the pixels, a brush of 12 to 30 pixels where the shorter
    side is 256, and in proportion."""
    thickness = in_proportion((12, 30), height, width, side=256)
    return strokes(rng, height, width, thickness=thickness, share=(0.03, 0.36))


def blobs(rng: np.random.Generator, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """One or two closed shapes with a smooth, irregular outline, like those of removed objects.

    Each is 68 to 112 pixels high and likewise wide where the shorter side is 256, and in proportion; it lies
    wholly inside the image.
    """
    least, most = in_proportion((68, 112), height, width, side=256)
    hole = np.zeros((height, width), dtype=bool)
    for _ in range(rng.integers(1, 3)):
        tall, wide = (int(n) for n in rng.integers(least, most + 1, size=2))
        top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
        shape = fill_outline(irregular_outline(rng), tall, wide)
        hole[top : top + tall, left : left + wide] |= shape
    return hole


HOLES: dict[str, Hole] = {
    "random_walk": random_walk,
    "boxes": boxes,
    "strokes": strokes,
    "strokes_thin": strokes_thin,
    "strokes_medium": strokes_medium,
    "strokes_thick": strokes_thick,
    "centre": centre,
    "border": border,
    "random_pixels": random_pixels,
    "scratches": scratches,
    "text": text,
    "strokes_photo": strokes_photo,
    "blobs": blobs,
}

PHOTOGRAPHIC = ("scratches", "text", "strokes_photo", "blobs")
"""The kinds that photographs are measured with."""


def mixture(
    rng: np.random.Generator, height: int, width: int, weights: Mapping[str, int | float]
) -> Bool[np.ndarray, "H W"]:
    """One hole of a kind chosen by weight; `weights` maps names of `HOLES` to numbers >= 0 (need not sum to
    one).

    The order of the mapping does not matter. Raises ConfigError for an unknown name or weights without a
    positive sum.
    """
    for name, weight in weights.items():
        if name not in HOLES:
            raise ConfigError(f"unknown hole {name!r}{nearest(name, HOLES)}")
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"weight of hole {name!r} is {weight}: give a finite number >= 0.")
    names = [name for name in HOLES if weights.get(name, 0) > 0]
    if not names:
        raise ConfigError(f"hole weights {dict(weights)} choose nothing: give at least one a weight above 0.")
    bounds = np.cumsum([float(weights[name]) for name in names])
    choice = int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))
    return HOLES[names[min(choice, len(names) - 1)]](rng, height, width)


def _pixel_count(rng: np.random.Generator, height: int, width: int, share: tuple[float, float]) -> int:
    """How many pixels a share drawn from the range is; at least one."""
    _check_range("share", share, 0, 1)
    return _whole_number(rng, share, height * width)


def _whole_number(rng: np.random.Generator, fractions: tuple[float, float], whole: int) -> int:
    """A number n, 1 <= n <= whole, with n / whole in the range, or the nearest below it where none is."""
    # The slack keeps 0.15 * 100 = 15.000000000000002 from becoming 16.
    most = max(1, min(whole, floor(fractions[1] * whole + 1e-6)))
    least = min(most, max(1, ceil(fractions[0] * whole - 1e-6)))
    return int(rng.integers(least, most + 1))


def _check_range(
    name: str, bounds: tuple[int | float, int | float], lowest: int, highest: int | None
) -> None:
    top = float("inf") if highest is None else highest
    if not lowest <= bounds[0] <= bounds[1] <= top:
        limit = f">= {lowest}" if highest is None else f"between {lowest} and {highest}"
        raise ConfigError(f"{name} is {bounds}: give (lowest, highest), both {limit}.")


def _fold(position: np.ndarray, length: int) -> np.ndarray:
    """Mirrors a walk on all integers into 0 .. length - 1, edges repeated: ... 1 0 | 0 1 ... n n | n ..."""
    position = position % (2 * length)
    return np.minimum(position, 2 * length - 1 - position)
