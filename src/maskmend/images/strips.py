"""Strips of rows, for processing a large picture without holding all of it in floating point.

A picture of 48 megapixels takes 144 MB as bytes and 1.2 GB as 64-bit floats, and some algorithms need several
copies. Operations on a neighbourhood read additional rows on both sides (`widened`), so results are
bit-identical to those of the whole picture.
"""

from collections.abc import Iterator

AT_ONCE = 1 << 20
"""Approximate number of pixels per strip."""


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Row slices that cover an array of shape (H, W, ...); each starts at an even row."""
    height, width = shape[:2]
    rows = max(2, AT_ONCE // max(1, width) // 2 * 2)
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def widened(rows: slice, reach: int, height: int) -> tuple[slice, slice]:
    """`rows` with up to `reach` more on either side, and the position of `rows` within that slice."""
    start, stop = max(rows.start - reach, 0), min(rows.stop + reach, height)
    return slice(start, stop), slice(rows.start - start, rows.stop - start)
