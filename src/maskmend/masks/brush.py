"""The round brush for painting holes, in integer arithmetic: the same pixels on any machine."""

import numpy as np


def in_proportion(pixels: tuple[int, int], height: int, width: int, *, side: int = 64) -> tuple[int, int]:
    """Lengths meant for an image whose shorter side is `side`, for one of another size; at least one
    pixel."""
    low, high = (max(1, round(length * min(height, width) / side)) for length in pixels)
    return low, high


def paint(hole: np.ndarray, here: np.ndarray, there: np.ndarray, brush: int, most: int) -> int:
    """Draws a segment with round ends, `most` new pixels at most; returns their number."""
    fresh, along = _capsule(hole, here, there, brush)
    # Stable order along the segment: the brush is lifted where the limit is reached.
    painted = fresh[np.argsort(along, kind="stable")[:most]]
    hole.reshape(-1)[painted] = True
    return len(painted)


def _capsule(
    hole: np.ndarray, here: np.ndarray, there: np.ndarray, diameter: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels not yet in the hole within diameter / 2 of a segment: (flat indices, position along the
    segment)."""
    height, width = hole.shape
    low = np.maximum(np.minimum(here, there) - diameter, 0)
    high = np.minimum(np.maximum(here, there) + diameter + 1, (height, width))
    high = np.maximum(high, low)  # a segment far outside the image paints nothing
    rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]].reshape(2, -1)
    step = there - here
    y, x = rows - here[0], columns - here[1]
    length2 = int(step @ step)
    along = y * step[0] + x * step[1]
    # Distances times two, squared, and for the middle part times the squared length: integers throughout.
    limit = diameter * diameter
    near_start = (along <= 0) & (4 * (y * y + x * x) <= limit)
    near_end = (along >= length2) & (4 * ((y - step[0]) ** 2 + (x - step[1]) ** 2) <= limit)
    beside = (along > 0) & (along < length2) & (4 * (y * step[1] - x * step[0]) ** 2 <= limit * length2)
    flat = rows * width + columns
    fresh = (near_start | near_end | beside) & ~hole.reshape(-1)[flat]
    return flat[fresh], along[fresh]
