"""Closed shapes with a smooth, irregular outline, in integer arithmetic.

Points at random distances around a centre, smoothed by repeated corner cutting (Chaikin, An algorithm for
high-speed curve generation, 1974), scaled to the requested size and filled by the even-odd rule.
"""

import numpy as np
from jaxtyping import Bool, Int

QUARTER = (1024, 1004, 946, 851, 724, 569, 392, 200)
"""1024 times the cosine of 0 to 7 times 11.25 degrees."""
ROUNDS = 3
"""Of cutting corners: each doubles the points."""


def irregular_outline(rng: np.random.Generator) -> Int[np.ndarray, "N 2"]:
    """Corners (row, column) of a closed outline around a centre, in units of no meaning, of 48 to 88 points.

    The distances to the centre vary from a half to the whole, so that the shape has dents but no holes.
    """
    count = int(rng.integers(6, 12))
    turns = (np.arange(count) * 32 + rng.integers(32)) // count % 32
    distances = rng.integers(512, 1025, size=count)
    points = np.array([(_cosine(turn), _cosine(turn - 8)) for turn in turns.tolist()]) * distances[:, None]
    for _ in range(ROUNDS):
        after = np.roll(points, -1, axis=0)
        points = np.stack([(3 * points + after) // 4, (points + 3 * after) // 4], axis=1).reshape(-1, 2)
    return points


def _cosine(turn: int) -> int:
    """1024 times the cosine of turn / 32 of a whole turn."""
    turn %= 32
    quarter, rest = divmod(turn, 8)
    return (QUARTER[rest], -_sine(rest), -QUARTER[rest], _sine(rest))[quarter]


def _sine(rest: int) -> int:
    """1024 times the sine of rest / 32 of a whole turn, 0 <= rest < 8."""
    return QUARTER[8 - rest] if rest else 0


def fill_outline(outline: Int[np.ndarray, "N 2"], height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """The shape stretched to touch all four sides of (height, width); True inside.

    A pixel is inside when its centre is, by the even-odd rule. In very small shapes no pixel's centre may be
    inside; the middle pixel always counts as inside.
    """
    low = outline.min(axis=0)
    extent = outline.max(axis=0) - low
    # Twice the coordinates, so that pixel centres are the odd integers.
    points = (outline - low) * (2 * np.array([height, width])) // extent
    rows, columns = 2 * np.arange(height)[:, None] + 1, 2 * np.arange(width)[None] + 1
    inside = np.zeros((height, width), dtype=bool)
    for (y0, x0), (y1, x1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crossed = (rows >= min(y0, y1)) & (rows < max(y0, y1))
        # Whether the edge meets the row left of the pixel: x0 + (row - y0) (x1 - x0) / (y1 - y0) < column.
        step = y1 - y0
        left = (x0 - columns) * abs(step) + (rows - y0) * (x1 - x0) * (1 if step > 0 else -1) < 0
        inside ^= crossed & left
    inside[height // 2, width // 2] = True
    return inside
