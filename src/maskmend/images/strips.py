"""A large picture some rows at a time, so that its numbers never lie in memory all at once.

A picture of 48 megapixels is 144 MB of bytes, and 1.2 GB once its levels are 64-bit floats, of which a few
copies are easily made. What is computed from neighbours takes as many rows more as those reach: the numbers
are the same, bit for bit, as of the picture as a whole.
"""

from collections.abc import Iterator

AT_ONCE = 1 << 20
"""Pixels of a strip, about."""


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of an array (H, W, ...), strip by strip; each begins at an even row."""
    height, width = shape[:2]
    rows = max(2, AT_ONCE // max(1, width) // 2 * 2)
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def widened(rows: slice, reach: int, height: int) -> tuple[slice, slice]:
    """`rows` and up to `reach` more on either side; and where among these the first ones are."""
    start, stop = max(rows.start - reach, 0), min(rows.stop + reach, height)
    return slice(start, stop), slice(rows.start - start, rows.stop - start)
