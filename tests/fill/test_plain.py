"""Plain surroundings are interpolated, textured ones stay as drawn, known pixels never change."""

import numpy as np
import pytest

from fakes import box_mask
from maskmend.fill.plain import interpolate_plain

SIDE = 48
MASK = box_mask(SIDE, SIDE, 20, 5, 26, 40)


def sky():
    """A gradient as a sky has it, with a little grain."""
    rows = np.linspace(120, 180, SIDE)[:, None, None].repeat(SIDE, 1).repeat(3, 2)
    return np.rint(rows + np.random.default_rng(0).normal(0, 0.4, rows.shape)).astype(np.uint8)


def drawn(true, mask):
    """A fill with a visible track."""
    return np.where(mask[:, :, None], np.uint8(90), true)


def test_a_track_across_a_smooth_sky_disappears():
    true = sky()
    fixed = interpolate_plain(drawn(true, MASK), MASK, 2.0)
    assert np.abs(fixed.astype(int) - true)[MASK].max() <= 3


def test_texture_stays_as_it_was_drawn():
    """Would catch grass or hair that is smeared over."""
    rough = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    filled = drawn(rough, MASK)
    np.testing.assert_array_equal(interpolate_plain(filled, MASK, 2.0), filled)


def test_each_end_of_a_hole_goes_by_its_own_surroundings():
    true = sky()
    true[:, SIDE // 2 :] = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE // 2, 3))
    fixed = interpolate_plain(drawn(true, MASK), MASK, 2.0)
    assert np.abs(fixed.astype(int) - true)[20:26, 5:14].max() <= 4
    assert (fixed[20:26, 34:40] == 90).all()


@pytest.mark.parametrize("limit", [0.0, 5e-324, 2.0, 300.0])
def test_known_pixels_never_change(limit):
    true = sky()
    fixed = interpolate_plain(drawn(true, MASK), MASK, limit)
    np.testing.assert_array_equal(fixed[~MASK], true[~MASK])


def test_what_was_drawn_plays_no_part_where_all_is_interpolated():
    """A fill that shines through would be the ghost this is against."""
    one, two = (np.where(MASK[:, :, None], np.uint8(value), sky()) for value in (0, 255))
    np.testing.assert_array_equal(interpolate_plain(one, MASK, 99.0), interpolate_plain(two, MASK, 99.0))


@pytest.mark.parametrize("mask", [np.ones((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)])
def test_all_hole_and_no_hole_come_back_as_they_are(mask):
    np.testing.assert_array_equal(interpolate_plain(sky(), mask, 2.0), sky())


def test_a_limit_next_to_nothing_overflows_nowhere():
    true = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    begun = drawn(true, MASK)
    np.testing.assert_array_equal(interpolate_plain(begun, MASK, 1e-300), begun)
