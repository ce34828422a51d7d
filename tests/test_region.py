"""What the model gets to see of a picture: the right place, all of the hole, and nothing from inside it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fakes import box_mask, smooth_pixels
from maskmend.images import to_tensor
from maskmend.infill import STRATEGIES
from maskmend.masks import Box, crop_box
from maskmend.region import cut_region, enlarge, split_hole

R = 16


@st.composite
def holes(draw, largest=70):
    """A picture's size and a mask that is not empty: boxes and stray pixels."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    mask = rng.random((height, width)) < draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : top + draw(st.integers(1, largest)), left : left + draw(st.integers(1, largest))] = True
    return mask, rng


def cut(pixels, mask, context=0.75, strategy="diffusion"):
    return cut_region(pixels, mask, R, context=context, strategy=strategy)


@settings(max_examples=60)
@given(holes(), st.sampled_from(sorted(STRATEGIES)), st.sampled_from([0.0, 0.75, 3.0]))
def test_nothing_inside_the_hole_reaches_the_region(hole, strategy, context):
    """Catches scaling before infilling, which mixes hole pixels into their neighbours."""
    mask, rng = hole
    pixels = rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
    other = np.where(mask[:, :, None], rng.choice(np.array([0, 255], np.uint8), pixels.shape), pixels)
    one, two = cut(pixels, mask, context, strategy), cut(other, mask, context, strategy)
    assert one.box == two.box
    assert torch.equal(one.image, two.image)
    assert torch.equal(one.mask, two.mask)


@settings(max_examples=40)
@given(holes())
def test_every_hole_pixel_falls_into_the_scaled_hole(hole):
    """Catches a shrunken mask that calls a scaled pixel known although part of it is missing."""
    mask, _ = hole
    region = cut(np.zeros((*mask.shape, 3), np.uint8), mask)
    inside = mask[region.box.slices]
    assert inside.sum() == mask.sum()

    def covered(cell, length):  # the pixels that a scaled pixel touches, of `length` along one side
        return slice(cell * length // R, -(-(cell + 1) * length // R))

    for i, j in np.ndindex(R, R):
        touched = inside[covered(i, region.box.height), covered(j, region.box.width)].any()
        assert region.mask[0, 0, i, j] == touched


def test_a_picture_of_the_models_size_is_taken_as_it_is():
    """Catches needless scaling, and crops of pictures the model was trained on."""
    pixels, mask = smooth_pixels(R, R), box_mask(R, R, 3, 4, 5, 6)
    region = cut(pixels, mask)
    assert region.box == Box(top=0, left=0, height=R, width=R)
    np.testing.assert_array_equal(region.mask[0, 0], mask)
    known = ~region.mask.expand_as(region.image)
    assert torch.equal(region.image[known], to_tensor(pixels)[known])


@pytest.mark.parametrize(
    ("shape", "hole", "wanted"),
    [
        ((64, 128), (0, 64, 64, 128), (0, 32, 64, 96)),  # goes on beyond a border
        ((100, 400), (0, 150, 100, 250), (0, 125, 100, 150)),  # a strip across
        ((100, 400), (5, 50, 95, 350), (0, 0, 100, 400)),
        ((128, 64), (64, 0, 128, 64), (32, 0, 96, 64)),
        ((200, 300), (50, 100, 150, 200), (0, 50, 200, 200)),  # there is enough around it: a square
    ],
)
def test_a_hole_as_wide_as_the_picture_is_seen_with_what_is_beside_it(shape, hole, wanted):
    """Catches a square that is all hole, from which the fill is the same whatever stands beside it."""
    box = crop_box(box_mask(*shape, *hole), context=0.75, minimum=R)
    assert (box.top, box.left, box.height, box.width) == wanted


@settings(max_examples=60)
@given(holes(), st.sampled_from([0.1, 0.75, 3.0]))
def test_something_known_is_seen_where_there_is_something(hole, context):
    """The same for any hole, in all its parts."""
    mask, _ = hole
    for box in split_hole(mask, R, context=context):
        part = np.zeros_like(mask)
        part[box.slices] = mask[box.slices]
        square = crop_box(part, context=context, minimum=R)
        assert mask.all() or not mask[square.slices].all()


def test_a_small_hole_in_a_large_picture_is_not_scaled():
    """Catches a crop that is larger than needed and loses detail."""
    pixels, mask = smooth_pixels(90, 120), box_mask(90, 120, 40, 50, 46, 55)
    region = cut(pixels, mask)
    assert (region.box.height, region.box.width) == (R, R)
    crop = to_tensor(np.ascontiguousarray(pixels[region.box.slices]))
    known = ~region.mask.expand_as(crop)
    assert torch.equal(region.image[known], crop[known])


@pytest.mark.parametrize("shape", [(64, 48), (7, 5), (9, 40)])
def test_values_keep_the_range_of_the_known_pixels(shape):
    """Catches ringing of the resampling that leaves [-1, 1]."""
    pixels = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (*shape, 3))
    region = cut(pixels, box_mask(*shape, 2, 1, 5, 4), context=9.0)
    assert region.image.shape == (1, 3, R, R)
    assert region.image.abs().max() <= 1


def test_enlarge_puts_the_fill_where_the_crop_was():
    """Catches a fill that comes back shifted or transposed."""
    rows, columns = np.mgrid[0:R, 0:R].astype(np.float32)
    fill = np.stack([rows, columns], axis=2)
    large = enlarge(fill, Box(top=3, left=5, height=3 * R, width=2 * R))
    assert large.shape == (3 * R, 2 * R, 2)
    inner = slice(6, -6)
    np.testing.assert_allclose(large[inner, 0, 0], ((np.arange(3 * R) + 0.5) / 3 - 0.5)[inner], atol=0.01)
    np.testing.assert_allclose(large[0, inner, 1], ((np.arange(2 * R) + 0.5) / 2 - 0.5)[inner], atol=0.01)
    assert enlarge(fill, Box(top=0, left=0, height=R, width=R)) is fill


def test_bilinear_enlarging_stays_in_range():
    """Catches an uncertainty that is negative, or zero inside the hole, beside a steep edge."""
    cells = np.zeros((R, R, 1), np.float32)
    cells[4:8, 4:8], cells[4:8, 8:12] = 1e-4, 7.0
    large = enlarge(cells, Box(top=0, left=0, height=50, width=37), Image.Resampling.BILINEAR)
    assert large.min() >= 0
    assert large.max() <= 7
    assert (large[13:25, 10:27] > 0).all()


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
        squares[crop_box(part, context=context, minimum=R).slices] += 1
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
