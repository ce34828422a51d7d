"""A fill within a box of the picture: nothing outside plays a part, and what comes back is the whole
picture's."""

import numpy as np
import pytest

from fakes import box_mask, smooth_pixels
from maskmend.batch.samples import fill_samples
from maskmend.errors import MaskError
from maskmend.fill.context_box import cut_to_box
from maskmend.images.picture import Picture
from maskmend.masks.box import Box

HEIGHT, WIDTH = 40, 50
MASK = box_mask(HEIGHT, WIDTH, 15, 20, 21, 30)
BOX = Box(top=10, left=12, height=18, width=24)


def filled(pipe, picture, mask=MASK, box: Box | None = BOX, **options):
    (part,) = fill_samples(pipe, picture, mask, samples=2, seed=3, context_box=box, **options)
    return part.result


def picture_of(pixels, alpha=None):
    return Picture(pixels=pixels, alpha=alpha)


def test_nothing_outside_the_box_reaches_the_fill(tiny_pipeline):
    """Catches a window, or the seam's surroundings, that reach beyond the box."""
    pixels = smooth_pixels(HEIGHT, WIDTH)
    other = 255 - pixels
    other[BOX.slices] = pixels[BOX.slices]
    one, two = filled(tiny_pipeline, picture_of(pixels)), filled(tiny_pipeline, picture_of(other))
    for first, second in zip(one.pictures, two.pictures, strict=True):
        np.testing.assert_array_equal(first.pixels[MASK], second.pixels[MASK])
    without = (
        filled(tiny_pipeline, picture_of(pixels), box=None),
        filled(tiny_pipeline, picture_of(other), box=None),
    )
    assert (without[0].pictures[0].pixels[MASK] != without[1].pictures[0].pixels[MASK]).any()


def test_the_result_is_that_of_the_whole_picture(tiny_pipeline):
    """Catches a result of the box alone, or one put back at another place."""
    pixels = smooth_pixels(HEIGHT, WIDTH)
    alpha = np.full((HEIGHT, WIDTH), 90, np.uint8)
    picture = picture_of(pixels, alpha)
    result = filled(tiny_pipeline, picture)
    cut, hole = cut_to_box(picture, MASK, BOX)
    inner = tiny_pipeline(cut, hole, samples=2, seed=3)
    for one, within in zip(result.pictures, inner.pictures, strict=True):
        np.testing.assert_array_equal(one.pixels[~MASK], pixels[~MASK])
        np.testing.assert_array_equal(one.pixels[BOX.slices], within.pixels)
        assert one.alpha is not None
        np.testing.assert_array_equal(one.alpha, np.where(MASK, 255, 90))
    assert result.mask is MASK
    assert (result.uncertainty > 0).any()
    assert result.uncertainty[~MASK].max() == 0
    for region in result.regions:
        assert region.box.top >= BOX.top
        assert region.box.left >= BOX.left
        assert region.box.left + region.box.width <= BOX.left + BOX.width
    assert np.asarray(tiny_pipeline.draw_step(result, 2)).shape[:2] == (HEIGHT, WIDTH)


def test_a_guide_is_cut_like_the_picture(tiny_pipeline):
    """Catches colours of a guide that lie beside the place where they were painted."""
    pixels = smooth_pixels(HEIGHT, WIDTH)
    colours = np.full((HEIGHT, WIDTH, 3), (230, 30, 20), np.uint8)
    guide = picture_of(colours, box_mask(HEIGHT, WIDTH, 16, 21, 20, 29).astype(np.uint8) * 255)
    red = filled(tiny_pipeline, picture_of(pixels), guide=guide).pictures[0].pixels
    assert (red[MASK] != filled(tiny_pipeline, picture_of(pixels)).pictures[0].pixels[MASK]).any()


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (Box(top=10, left=12, height=31, width=24), "reaches to 36 x 41, the picture is 50 x 40"),
        (Box(top=16, left=12, height=18, width=24), "the hole lies in 20,15,10,6, which reaches beyond"),
        (Box(top=15, left=20, height=6, width=10), "nothing but the hole"),
    ],
)
def test_what_cannot_be_a_context_is_refused(box, words):
    with pytest.raises(MaskError, match=words):
        cut_to_box(picture_of(smooth_pixels(HEIGHT, WIDTH)), MASK, box)
