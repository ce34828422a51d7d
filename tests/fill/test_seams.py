"""The measure of borders between windows, bench/seams.py."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from maskmend.masks.box import Box

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "seams.py"))


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
