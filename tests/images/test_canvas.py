"""Outpainting: known pixels and all that belongs to the file stay, limits hold before memory is taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.errors import ConfigError, ImageSizeError, MaskError
from maskmend.images.canvas import SIDES, extend_canvas, read_extension
from maskmend.images.picture import Picture, load_image
from maskmend.images.writing import save_image
from maskmend.pipeline import InpaintPipeline

PIXELS = smooth_pixels(20, 34)


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.dictionaries(st.sampled_from(SIDES), st.integers(0, 20), min_size=1).filter(lambda d: any(d.values())),
    st.booleans(),
)
def test_the_picture_lies_on_the_canvas_as_it_was(height, width, lengths, alpha):
    pixels = smooth_pixels(height, width)
    opacity = (pixels[:, :, 0] // 2).copy() if alpha else None
    hole = box_mask(height, width, 0, 0, 1, 1)
    picture, mask = extend_canvas(Picture(pixels=pixels, alpha=opacity), lengths, mask=hole)
    left, right, top, bottom = (lengths.get(side, 0) for side in SIDES)
    assert mask.shape == picture.pixels.shape[:2] == (height + top + bottom, width + left + right)
    here = (slice(top, top + height), slice(left, left + width))
    np.testing.assert_array_equal(picture.pixels[here], pixels)
    np.testing.assert_array_equal(mask[here], hole)
    if opacity is not None:
        assert picture.alpha is not None
        np.testing.assert_array_equal(picture.alpha[here], opacity)
    mask[here] = True
    assert mask.all()


def test_lengths_are_pixels_or_percent_of_the_side():
    wanted = read_extension("left=200, right=10%,top=50.5%")
    assert wanted == {"left": "200", "right": "10%", "top": "50.5%"}
    picture, mask = extend_canvas(Picture(pixels=PIXELS), wanted)
    assert picture.pixels.shape == (20 + 10, 34 + 200 + 3, 3)
    assert int((~mask).sum()) == 20 * 34
    same, _ = extend_canvas(Picture(pixels=PIXELS), "left=200, right=10%,top=50.5%")
    np.testing.assert_array_equal(picture.pixels, same.pixels)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("left", "write SIDE=LENGTH"),
        ("", "write SIDE=LENGTH"),
        ("left=1,", "write SIDE=LENGTH"),
        ("left=1,left=2", "left is given twice"),
        ("lift=1", r"no side 'lift' \(did you mean 'left'\?\)"),
        ("left=-3", "left=-3: give pixels"),
        ("left=x", "left=x: give pixels"),
        ("left=1.5", "left=1.5: give pixels"),
        ("left=", "left=: give pixels"),
        ("left=" + "9" * 5000, "left=9+: give pixels"),
        ("left=٣", "give pixels"),
        ("left=0,right=0%", "adds no pixel to 34 x 20"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        extend_canvas(Picture(pixels=PIXELS), text)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", ["999999999", "999999999%", 10**8])
def test_a_canvas_beyond_the_limit_is_never_made(length):
    """Catches a size that is checked once the memory is gone: these would take petabytes."""
    with pytest.raises(ImageSizeError, match="more than the limit of 64 Mpx: extend it less"):
        extend_canvas(Picture(pixels=PIXELS), {"left": length, "top": length})
    with pytest.raises(ImageSizeError, match=r"35 x 20 = 0.0 Mpx"):
        extend_canvas(Picture(pixels=PIXELS), "left=1", max_pixels=20 * 34)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(MaskError, match="give the image's"):
        extend_canvas(Picture(pixels=PIXELS), "left=1", mask=np.zeros((3, 3), bool))


@settings(max_examples=6)
@given(
    st.dictionaries(st.sampled_from(SIDES), st.sampled_from([0, 3, 17, "50%", "100%"]), min_size=1).filter(
        lambda lengths: any(lengths.values())
    )
)
def test_the_fill_of_a_canvas_keeps_the_picture(lengths):
    pipe = InpaintPipeline(*tiny_models(guesses=True))
    result = pipe(PIXELS, extend=lengths)
    picture, mask = extend_canvas(Picture(pixels=PIXELS), lengths)
    np.testing.assert_array_equal(result.mask, mask)
    np.testing.assert_array_equal(result.pictures[0].pixels[~mask], PIXELS.reshape(-1, 3))
    same = pipe(picture, mask)
    np.testing.assert_array_equal(result.pictures[0].pixels, same.pictures[0].pixels)


def test_a_mask_within_the_picture_is_filled_too(tiny_pipeline):
    hole = box_mask(20, 34, 5, 6, 14, 19)
    result = tiny_pipeline(PIXELS, hole, extend="bottom=50%")
    np.testing.assert_array_equal(result.mask[:20], hole)
    assert result.mask[20:].all()
    assert result.pictures[0].pixels.shape == (30, 34, 3)


def test_each_picture_of_a_batch_is_extended(tiny_pipeline):
    images = [PIXELS, smooth_pixels(10, 12)]
    results = tiny_pipeline(images, extend="right=50%")
    assert [result.mask.shape for result in results] == [(20, 51), (10, 18)]
    for image, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(
            result.pictures[0].pixels, tiny_pipeline(image, extend="right=50%").pictures[0].pixels
        )


def test_metadata_is_kept(tiny_pipeline, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "a bridge"
    Image.fromarray(PIXELS).save(tmp_path / "photo.jpg", icc_profile=profile, exif=exif, dpi=(300, 300))
    source = load_image(tmp_path / "photo.jpg")
    result = tiny_pipeline(source, extend="left=5")
    save_image(result.pictures[0], tmp_path / "wide.jpg")
    wide = load_image(tmp_path / "wide.jpg")
    assert wide.metadata == source.metadata
    assert wide.pixels.shape == (20, 39, 3)
