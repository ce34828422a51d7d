"""What the model gets to see of a picture: the right place, all of the hole, and nothing from inside it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fakes import box_mask, holes, smooth_pixels, square
from maskmend.fill.crops import NOT_YET, Region, cut_region, enlarge, join, spread_entropy
from maskmend.fill.windows import Window
from maskmend.images.infill import STRATEGIES
from maskmend.images.picture import picture_from
from maskmend.images.tensors import to_tensor
from maskmend.masks.box import Box

R = 16


def cut(pixels, mask, context=0.75, strategy="diffusion"):
    box = square(mask, context=context, minimum=R)
    window = Window(part=square(mask, context=0.0), box=box)
    return cut_region(pixels, mask, window, R, strategy=strategy)


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
    box = square(box_mask(*shape, *hole), context=0.75, minimum=R)
    assert (box.top, box.left, box.height, box.width) == wanted


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


def region(left: int) -> Region:
    """An R x R window on a strip of 2 R pixels that is all hole."""
    part = Box(top=0, left=0, height=R, width=2 * R)
    window = Window(
        box=Box(top=0, left=left, height=R, width=R),
        part=part,
        cell=Box(top=R // 4, left=left + R // 4, height=R // 2, width=R // 2),
    )
    return Region(window=window, image=torch.zeros(1, 3, R, R), mask=torch.ones(1, 1, R, R, dtype=torch.bool))


def flat(*levels: float) -> list[np.ndarray]:
    return [np.full((R, R, 3), level, np.float32) for level in levels]


def test_fills_of_neighbouring_windows_fade_into_each_other():
    """Catches a step between windows, weights that do not add up, and known pixels that are blended in."""
    picture, mask = picture_from(np.full((R, 2 * R, 3), 7, np.uint8)), np.ones((R, 2 * R), bool)
    mask[: R // 4], mask[-R // 4 :], mask[:, : R // 4], mask[:, -R // 4 :] = False, False, False, False
    regions = [region(0), region(R // 2), region(R)]
    line = join(picture, mask, regions, flat(100, 150, 200), "hard").pixels[R // 2, :, 0].astype(int)
    inside = line[R // 4 : -R // 4]
    assert list(inside[[0, 12, -1]]) == [100, 150, 200]
    assert (np.diff(inside) >= 0).all()
    assert np.diff(inside).max() <= 13
    same = join(picture, mask, regions, flat(99, 99, 99), "hard").pixels
    np.testing.assert_array_equal(same[:, :, 0], np.where(mask, 99, 7))
    entropies = [np.full((4, 4), 2.5)] * 3
    np.testing.assert_allclose(spread_entropy(entropies, mask, regions, R // 4), mask * 2.5)


def test_what_no_window_has_filled_yet_is_grey():
    """Catches the hole's own pixels showing in a picture of a step, and grey over what is filled already."""
    picture, mask = picture_from(np.full((R, 2 * R, 3), 7, np.uint8)), np.ones((R, 2 * R), bool)
    begun = join(picture, mask, [region(0)], flat(100), "hard").pixels
    assert (begun[3:-3, 3 : R - 3] == 100).all()
    assert (begun[:, R:] == NOT_YET).all()
