"""The measure before and after: the same holes, and a change with its interval."""

import numpy as np
import pytest

from fakes import FakePerceptual, smooth_pixels
from maskmend.pipeline import InpaintPipeline
from maskmend.training.finetune.held_out import KINDS, SHOWN, change, fill_distances, holed_pictures, sheet

PICTURES = [smooth_pixels(40, 50, seed) for seed in range(20)]


def test_holes_are_the_pictures_own() -> None:
    """Would catch other holes after the training than before, which would measure the holes."""
    first, again = holed_pictures(PICTURES, 32), holed_pictures(PICTURES[:5], 32)
    assert len(first) == 16
    assert len(first[0]) == len(KINDS)
    for a, b in zip(first, again, strict=False):
        assert all(
            np.array_equal(x.hole, y.hole) and np.array_equal(x.pixels, y.pixels)
            for x, y in zip(a, b, strict=True)
        )
    assert all(one.hole.any() and one.pixels.shape == (32, 32, 3) for holes in first for one in holes)


def test_a_model_measures_the_same_twice(tiny_pipeline: InpaintPipeline) -> None:
    holed = holed_pictures(PICTURES[:2], 32)
    told: list[tuple[int, int]] = []
    first = fill_distances(tiny_pipeline, holed, FakePerceptual(), lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]
    assert first.min() > 0
    assert np.array_equal(first, fill_distances(tiny_pipeline, holed, FakePerceptual()))


def test_the_change_is_that_of_the_means() -> None:
    """Would catch a mean of ratios, in which one easy picture outweighs the rest; and a gain called sure that
    one picture makes."""
    before = np.array([1.0, 2.0, 3.0, 4.0] * 4)
    found = change(before, before * 0.9)
    assert (found.value, found.low, found.high) == pytest.approx((-0.1, -0.1, -0.1))
    one = before.copy()
    one[0] = 0.0
    assert change(before, one).value == pytest.approx(-1 / 40)
    assert change(before, one).high >= 0


def test_the_sheet_has_a_row_for_each_model(tiny_pipeline: InpaintPipeline) -> None:
    holed = holed_pictures(PICTURES, 32)
    two = sheet(holed, {"photo": tiny_pipeline, "mine": tiny_pipeline})
    assert two.height == 4 * 64
    assert sheet(holed, {"photo": tiny_pipeline}).height == 3 * 64
    assert two.width > SHOWN * 64
