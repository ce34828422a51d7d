"""Text as a mask: lines of letters and digits, painted with the round brush.

The letters are strokes between points of a 4 x 6 grid, defined here, so that masks do not depend on a font
and its rendering.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool

from maskmend.masks.brush import in_proportion, paint

ROWS, COLUMNS = 6, 4
LETTERS = (
    "00-60 30-34 04-64",  # H
    "60-20-02-24-64 40-44",  # A
    "00-60 00-03-14-23-30 33-44-53-60",  # B, the lower bow hung on its waist
    "14-03-01-10-50-61-63-54",  # C
    "00-60-63-54-14-03-00",  # D
    "04-00-60-64 30-33",  # E
    "04-00-60 30-33",  # F
    "14-03-01-10-50-61-63-54-34-32",  # G
    "01-03 02-62 61-63",  # I
    "04-54-63-61-50",  # J
    "00-60 04-30-64",  # K
    "00-60-64",  # L
    "60-00-32-04-64",  # M
    "60-00-64-04",  # N
    "01-03-14-54-63-61-50-10-01",  # O
    "60-00-03-14-24-33-30",  # P
    "60-00-03-14-24-33-30 32-64",  # R
    "14-03-01-10-20-31-33-44-54-63-61-50",  # S
    "00-04 02-62",  # T
    "00-50-61-63-54-04",  # U
    "00-62-04",  # V
    "00-61-22-63-04",  # W
    "00-64 04-60",  # X
    "00-32-04 32-62",  # Y
    "00-04-60-64",  # Z
    "11-02-62 61-63",  # 1
    "10-01-03-14-24-60-64",  # 2
    "00-04-22-33-44-54-63-61-50",  # 3
    "63-03-40-44",  # 4
    "04-00-30-33-44-54-63-61-50",  # 5
    "00-04-62",  # 7
    "01-03-14-24-33-31-20-10-01 31-40-50-61-63-54-44-33",  # 8
)
"""Each letter's strokes: row and column of the points, joined by hyphens."""


def _strokes(letter: str) -> list[tuple[np.ndarray, np.ndarray]]:
    segments = []
    for stroke in letter.split():
        points = [np.array([int(point[0]), int(point[1])]) for point in stroke.split("-")]
        segments += pairwise(points)
    return segments


GLYPHS = tuple(_strokes(letter) for letter in LETTERS)


def text(rng: np.random.Generator, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Two to six lines of words: letters 14 to 28 pixels high, strokes 2 to 4 pixels wide, where the shorter
    side is 256, and in proportion.

    All lines of a picture have one size and run from a drawn margin at the left to one at the right, as far
    as they fit below each other.
    """
    low, high = in_proportion((14, 28), height, width, side=256)
    thin, thick = in_proportion((2, 4), height, width, side=256)
    tall = int(rng.integers(low, high + 1))
    # Small letters in the broadest stroke would be solid blocks.
    brush = int(rng.integers(thin, max(thin, min(thick, tall // 6)) + 1))
    lines = int(rng.integers(2, 7))
    pitch = tall + int(rng.integers(tall // 2, 2 * tall + 1))
    lines = max(1, min(lines, (height - tall) // max(1, pitch) + 1))
    top = int(rng.integers(max(1, height - tall - (lines - 1) * pitch + 1)))
    hole = np.zeros((height, width), dtype=bool)
    for line in range(lines):
        _line(rng, hole, top + line * pitch, tall, brush)
    if not hole.any():  # letters of a pixel or two may lie beside a tiny picture
        hole[height // 2, width // 2] = True
    return hole


def _line(rng: np.random.Generator, hole: np.ndarray, top: int, tall: int, brush: int) -> None:
    width = hole.shape[1]
    wide, gap = max(1, tall * 5 // 8), max(1, tall // 4) + brush
    left, right = int(rng.integers(width // 4 + 1)), width - 1 - int(rng.integers(width // 8 + 1))
    rest = int(rng.integers(2, 9))
    # The brush reaches half its width beyond the points of a stroke.
    inner, across = max(0, tall - brush), max(0, wide - brush)
    while left + wide <= right + 1:
        if rest > 0:
            corner = np.array([top, left]) + brush // 2
            scale = np.array([inner, across])
            for here, there in GLYPHS[int(rng.integers(len(GLYPHS)))]:
                grid = np.array([ROWS, COLUMNS])
                paint(hole, corner + here * scale // grid, corner + there * scale // grid, brush, hole.size)
            rest -= 1
        else:
            rest = int(rng.integers(2, 9))
        left += wide + gap
