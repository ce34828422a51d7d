"""Where the model looks: all of the hole, at a size at which there is something to see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import box_mask, holes, smooth_pixels, square
from maskmend.errors import ConfigError
from maskmend.fill.events import FillEvents
from maskmend.fill.windows import FULLEST, lay_windows, split_hole
from maskmend.masks.box import Box

R = 16


def scratch(height=90, width=200, thick=3):
    """A line from corner to corner."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.abs(rows - columns * height / width) <= thick / 2


@settings(max_examples=150)
@given(holes(), st.sampled_from([0.0, 0.75, 3.0]), st.sampled_from([1, 4, 64]))
def test_windows_lie_in_the_picture_and_show_all_of_the_hole(hole, context, most):
    """Catches hole pixels that no window fills or that another part's does, and too many windows."""
    mask, _ = hole
    shown, by_part = np.zeros(mask.shape), {}
    for window in lay_windows(mask, R, context=context, most=most):
        box = window.box
        assert min(box.top, box.left) >= 0
        assert box.top + box.height <= mask.shape[0]
        assert box.left + box.width <= mask.shape[1]
        assert mask[box.slices].any()
        shown[window.shown.slices] += window.weight()
        by_part.setdefault(window.part, []).append(window)
    assert (shown[mask] > 0).all()
    assert list(by_part) == split_hole(mask, R, context=context)
    for windows in by_part.values():
        assert len(windows) <= most
    if mask.shape == (R, R):
        assert [window.box for window in lay_windows(mask, R, context=context, most=most)] == [
            Box(top=0, left=0, height=R, width=R)
        ]


def test_a_scratch_is_seen_at_full_size():
    """Catches one square around all of it, in which it is a hair."""
    mask = scratch()
    windows = lay_windows(mask, R, context=0.75, most=64)
    assert 20 < len(windows) < 64
    for window in windows:
        assert (window.box.height, window.box.width) == (R, R)
        assert 0 < mask[window.box.slices].mean() <= FULLEST


def test_windows_grow_until_they_are_few_and_see_enough():
    """Catches windows that are all hole, and a picture full of specks filled through thousands of windows."""
    thick = lay_windows(scratch(thick=9), R, context=0.75, most=64)
    assert {window.box.width for window in thick} == {4 * R}
    few = lay_windows(scratch(), R, context=0.75, most=24)
    assert 1 < len(few) <= 24
    assert {window.box.width for window in few} == {2 * R}
    specks = np.random.default_rng(0).random((300, 400)) < 0.05
    assert len(lay_windows(specks, R, context=0.75, most=64)) <= 64


@pytest.mark.parametrize("mask", [box_mask(90, 200, 20, 30, 50, 80), np.ones((90, 200), bool)])
def test_a_hole_that_is_not_thin_is_seen_whole(mask):
    """Catches a box filled in pieces that know nothing of each other, and a search that does not end."""
    assert len(lay_windows(mask, R, context=0.75, most=64)) == 1


@pytest.mark.parametrize("context", [2.0, 3.0, 100.0])
def test_more_context_shows_more(context):
    """Catches a small hole taken for a long one, which is seen with less around it the more is asked for."""
    mask = box_mask(300, 400, 150, 200, 155, 210)
    (window,) = lay_windows(mask, R, context=context, most=64)
    assert window.box == square(mask, context=context, minimum=R)
    assert len(lay_windows(scratch(), R, context=context, most=64)) > 20


def test_one_window_where_one_was_asked_for():
    (window,) = lay_windows(scratch(), R, context=0.75, most=1)
    assert window.box == square(scratch(), context=0.75, minimum=R)


def test_the_weights_of_cells_side_by_side_add_up_to_one():
    """Catches a fill that is darker, or counts twice, where windows meet."""
    mask = np.zeros((60, 220), bool)
    mask[20:40, 10:210] = np.random.default_rng(0).random((20, 200)) < 0.2
    total = np.zeros(mask.shape)
    windows = lay_windows(mask, R, context=0.75, most=200)
    for window in windows:
        total[window.shown.slices] += window.weight()
    assert len(windows) > 60
    np.testing.assert_allclose(total[26:34, 16:204], 1)


def test_a_scratch_is_filled(tiny_pipeline):
    """Catches known pixels that change, hole pixels that reach a window or show through in a step, and a last
    step that is not the result."""
    mask = scratch(60, 150)
    image = smooth_pixels(60, 150, 3)
    options = {"seed": 5, "samples": 2, "steps": 2}
    result = tiny_pipeline(image, mask, **options)
    other = tiny_pipeline(np.where(mask[:, :, None], 255 - image, image), mask, **options)
    assert len(result.regions) > 10
    for one, two in zip(result.pictures, other.pictures, strict=True):
        np.testing.assert_array_equal(one.pixels[~mask], image[~mask])
        np.testing.assert_array_equal(one.pixels[mask], two.pixels[mask])
    assert (result.uncertainty[mask] > 0).all()
    assert (result.uncertainty[~mask] == 0).all()
    assert np.isfinite(result.log_likelihood).all()
    first, last = (np.asarray(tiny_pipeline.draw_step(result, n)) for n in (1, len(result.history)))
    assert (first[mask] == 128).all(1).mean() > 0.5
    np.testing.assert_array_equal(last, result.pictures[0].pixels)
    alone = tiny_pipeline(image, mask, windows=1, **options)
    assert len(alone.regions) == 1


@settings(max_examples=60)
@given(holes(), st.sampled_from([0.1, 0.75, 3.0]))
def test_something_known_is_seen_where_there_is_something(hole, context):
    """The same for any hole, in all its parts."""
    mask, _ = hole
    for box in split_hole(mask, R, context=context):
        part = np.zeros_like(mask)
        part[box.slices] = mask[box.slices]
        around = square(part, context=context, minimum=R)
        assert mask.all() or not mask[around.slices].all()


@settings(max_examples=150)
@given(holes(), st.sampled_from([0.0, 0.25, 0.75, 3.0]))
def test_parts_are_the_hole_and_their_squares_do_not_meet(hole, context):
    """Catches pixels in no part or in two, and a square that shows a part another's hole."""
    mask, _ = hole
    boxes = split_hole(mask, R, context=context)
    counted = np.zeros(mask.shape, int)
    squares = np.zeros(mask.shape, int)
    for box in boxes:
        counted[box.slices] += mask[box.slices]
        part = np.zeros_like(mask)
        part[box.slices] = mask[box.slices]
        squares[square(part, context=context, minimum=R).slices] += 1
    np.testing.assert_array_equal(counted, mask)
    assert squares.max() <= 1
    if mask.shape == (R, R):
        assert len(boxes) == 1


@pytest.mark.parametrize(("apart", "parts"), [(20, 1), (31, 1), (32, 2), (60, 2)])
def test_holes_are_apart_from_where_their_squares_do_not_overlap(apart, parts):
    """Catches holes side by side that are filled without seeing each other, and far ones put into one."""
    mask = box_mask(40, 200, 15, 60, 23, 68) | box_mask(40, 200, 15, 60 + apart, 23, 68 + apart)
    assert len(split_hole(mask, R, context=1.5)) == parts  # squares of 8 * 4 pixels


def test_holes_are_told_apart_also_along_a_chain():
    """Catches the overlap of two squares forgotten once a third was joined to one of them."""
    mask = np.zeros((40, 300), bool)
    for left in (10, 24, 38, 52, 200):
        mask[10:14, left : left + 4] = True
    assert split_hole(mask, R, context=0.75) == [
        Box(top=10, left=10, height=4, width=46), Box(top=10, left=200, height=4, width=4)
    ]  # fmt: skip
    assert split_hole(np.zeros((40, 300), bool), R, context=0.75) == []


def test_a_million_specks_are_told_apart_in_reasonable_memory():
    """Catches a square of numbers for every pair of specks."""
    mask = np.random.default_rng(0).random((1500, 2000)) < 0.2
    assert len(split_hole(mask, 64, context=0.75)) == 1
    mask[:] = False
    mask[5::120, 7::130] = True
    assert len(split_hole(mask, 64, context=0.75)) == mask.sum()


def test_results_come_as_soon_as_they_are_there(tiny_pipeline):
    """Catches results in the wrong place, twice or not at all, and short ones that come last."""
    image = smooth_pixels(60, 150, 3)
    masks = [scratch(60, 150), np.zeros((60, 150), bool), box_mask(60, 150, 20, 30, 25, 35)]
    came = []
    results = tiny_pipeline(
        [image] * 3,
        masks,
        steps=2,
        events=FillEvents(on_result=lambda place, result: came.append((place, result))),
    )
    assert [place for place, _ in came] == [1, 2, 0]
    assert all(result is results[place] for place, result in came)


@given(
    seed=st.integers(0, 2**31),
    h=st.integers(1, 60),
    w=st.integers(1, 60),
    context=st.sampled_from([0.0, 0.25, 1.0]),
    minimum=st.integers(1, 64),
)
def test_a_square_holds_the_hole_lies_in_the_image_and_is_square_if_it_can(seed, h, w, context, minimum):
    """Catches squares that cut the hole, leave the image, or distort it without need."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((h, w), dtype=bool)
    top, left = int(rng.integers(h)), int(rng.integers(w))
    mask[top : top + int(rng.integers(1, h + 1)), left : left + int(rng.integers(1, w + 1))] = True
    box = square(mask, context=context, minimum=minimum)
    assert mask[box.slices].sum() == mask.sum()
    assert box.top >= 0
    assert box.left >= 0
    assert box.top + box.height <= h
    assert box.left + box.width <= w
    longest = max(mask.any(axis=1).sum(), mask.any(axis=0).sum())
    least = longest + int(np.ceil(2 * min(context, 0.25) * longest))
    shorter, longer = sorted((box.height, box.width))
    assert shorter == longer or (shorter == min(h, w) < longer <= least)
    assert max(box.height, box.width) >= min(minimum, h, w)


def test_a_square_is_centred_with_its_context():
    """Catches context counted once instead of on either side."""
    mask = np.zeros((100, 200), dtype=bool)
    mask[40:50, 100:120] = True
    assert square(mask, context=0.5) == Box(top=25, left=90, height=40, width=40)
    with pytest.raises(ConfigError, match="minimum 0"):
        square(mask, context=0.5, minimum=0)
