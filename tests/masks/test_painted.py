"""Boxes and painted colours as masks: what they fill, and that each must find something."""

import numpy as np
import pytest

from fakes import smooth_pixels
from maskmend.errors import ConfigError, MaskError
from maskmend.images.picture import Picture
from maskmend.masks.box import Box
from maskmend.masks.painted import PaintedMask, read_box, read_colour

HEIGHT, WIDTH = 20, 34
MAGENTA = (255, 0, 255)


def painted(levels=MAGENTA, **more):
    """A picture with a patch of one colour."""
    pixels = smooth_pixels(HEIGHT, WIDTH)
    pixels[5:9, 10:13] = levels
    return Picture(pixels=pixels, **more)


def test_a_box_is_left_top_width_and_height():
    """Catches rows taken for columns, and a size taken for the far corner."""
    hole = PaintedMask.read(("3,5,10,2", "30,0,4,20"), (), 8).hole(painted())
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[5:7, 3:13] = True
    wanted[0:20, 30:34] = True
    np.testing.assert_array_equal(hole, wanted)


def test_the_tolerance_is_of_each_channel():
    """Catches a distance over all channels, and one beyond which is filled or within which is not."""
    picture = painted((247, 8, 247))
    hole = PaintedMask(colours=(MAGENTA,), tolerance=8).hole(picture)
    assert hole[5:9, 10:13].all()
    assert hole.sum() == 12
    with pytest.raises(MaskError, match=r"within 7 of #ff00ff, the nearest is 8 away: .*--tolerance 8"):
        PaintedMask(colours=(MAGENTA,), tolerance=7).hole(picture)
    assert PaintedMask(colours=(MAGENTA,), tolerance=255).hole(picture).all()


def test_what_is_transparent_has_no_colour():
    """Catches colours that nobody sees, under erased pixels."""
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[5:9, 10] = 0
    hole = PaintedMask(colours=(MAGENTA,), tolerance=0).hole(painted(alpha=alpha))
    assert hole.sum() == 8
    alpha[5:9, 10:13] = 0
    with pytest.raises(MaskError, match="no pixel is within 255"):
        PaintedMask(colours=(MAGENTA,), tolerance=255).hole(painted(alpha=np.zeros_like(alpha)))


def test_all_are_joined_with_a_mask():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[0, 0] = True
    drawn = PaintedMask(boxes=(Box(top=18, left=1, height=2, width=3),), colours=(MAGENTA,))
    hole = drawn.joined(painted(), mask)
    assert hole is not None
    assert hole.sum() == 1 + 6 + 12
    assert mask.sum() == 1  # the caller's own stays
    assert PaintedMask().joined(painted(), mask) is mask
    assert PaintedMask().joined(painted(), None) is None


@pytest.mark.parametrize("text", ["30,0,5,20", "0,1,34,20", "34,0,1,1"])
def test_a_box_beyond_the_picture_is_refused(text):
    """Catches a far corner taken for a size, which would fill another part than was meant."""
    with pytest.raises(MaskError, match=f"--mask-box {text} reaches to .*, the picture is 34 x 20"):
        PaintedMask.read((text,), (), 8).hole(painted())


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,2,3,4", "-1,2,3,4", "1.5,2,3,4", "", "1,2,0,4"])
def test_what_is_no_box_is_refused(text):
    with pytest.raises(ConfigError, match=r"--mask-box .*X,Y,WIDTH,HEIGHT"):
        read_box(text, "--mask-box")


def test_colours_are_written_as_on_web_pages():
    assert read_colour("#ff00ff") == read_colour(" magenta ") == read_colour("#F0F") == MAGENTA
    for text in ("ff00ff", "#ff00f", "purpel"):
        with pytest.raises(ConfigError, match="is no colour"):
            read_colour(text)
