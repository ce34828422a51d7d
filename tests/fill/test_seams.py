"""No seam shows where windows meet, measured as bench/seams.py does."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs
from maskmend.images.picture import load_image
from maskmend.masks.box import Box
from maskmend.masks.generators import HOLES
from maskmend.pipeline import InpaintPipeline

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "seams.py"))
LIMIT = 1.3
"""Steps across borders relative to those beside them."""


def test_a_step_at_a_border_is_found():
    """Catches a measure that takes other places for the borders, or one axis only."""
    grain = np.random.default_rng(0).integers(100, 110, (96, 96, 1)).repeat(3, 2).astype(np.uint8)
    hole = np.ones((96, 96), dtype=bool)
    borders = np.zeros((95, 96), dtype=bool), np.zeros((96, 95), dtype=bool)
    BENCH["_outline"](borders, Box(top=32, left=32, height=32, width=32), 0, 0)
    assert BENCH["ratio"](BENCH["steps"](grain, hole, borders)) == pytest.approx(1, abs=0.15)
    for rows, columns in ((slice(32, 64), slice(None)), (slice(None), slice(32, 64))):
        stepped = grain.copy()
        stepped[rows, columns] += 20
        assert BENCH["ratio"](BENCH["steps"](stepped, hole, borders)) > 2


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "place"), [("blobs", "checkerboard"), ("text", "row")])
def test_no_seam_shows_between_the_windows_of_photo(kind, place):
    """Catches windows that do not see each other's fills, or do not fade into each other."""
    pipe = InpaintPipeline.from_pretrained("photo")
    sums = np.zeros((2, 2))
    for number, (_, image, _) in enumerate(sample_pairs(PHOTOGRAPHS)[:2]):
        whole = load_image(image).pixels
        pixels = np.ascontiguousarray(whole[-256:, -256:])
        hole = HOLES[kind](np.random.default_rng(number), 256, 256)
        filled = pipe(pixels, hole).pictures[0].pixels
        borders = BENCH["borders_of"](hole, pipe)[place]
        sums += BENCH["steps"](filled, hole, borders)
    assert sums[0, 1] > 100  # there are borders
    assert BENCH["ratio"](sums) < LIMIT
