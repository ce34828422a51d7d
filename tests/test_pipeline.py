"""The whole way on a tiny model: what must stay stays, what the hole hides plays no part; what a pipeline is
and tells of itself.
"""

import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import maskmend
from fakes import CODES, box_mask, smooth_pixels
from maskmend.errors import ConfigError
from maskmend.fill.compositing import SEAMS
from maskmend.images.infill import STRATEGIES
from maskmend.inference.kernel_caches import LIMITS
from maskmend.pipeline import InpaintPipeline
from pipeline_parts import assert_same, pictures

SIDE = 16
IMAGE = smooth_pixels(SIDE, SIDE)
MASK = box_mask(SIDE, SIDE, 3, 5, 11, 14)


@settings(max_examples=60)
@given(pictures(), st.sampled_from(SEAMS), st.sampled_from(sorted(STRATEGIES)), st.integers(0, 2))
def test_known_pixels_come_back_bit_identical(tiny_pipeline, picture, seam, infill, ring):
    """Catches seams, rings, scaling or rounding that touch a pixel outside the mask."""
    pixels, mask, _ = picture
    result = tiny_pipeline(pixels, mask, seam=seam, infill=infill, ring=ring, steps=2, samples=2)
    assert len(result.pictures) == 2
    for filled in result.pictures:
        assert filled.pixels.shape == pixels.shape
        np.testing.assert_array_equal(filled.pixels[~mask], pixels[~mask])


@pytest.mark.slow
@settings(max_examples=60)
@given(pictures(), st.sampled_from(SEAMS), st.sampled_from(sorted(STRATEGIES)), st.data())
def test_pixels_inside_the_hole_are_ignored(tiny_pipeline, picture, seam, infill, data):
    """Catches any way for the erased content to reach the fill: scaling, encoding, seams, share of a cell."""
    pixels, mask, rng = picture
    content = data.draw(st.sampled_from(["noise", "black", "white"]))
    hidden = {
        "noise": rng.choice(np.array([0, 255], np.uint8), pixels.shape),
        "black": np.zeros_like(pixels),
        "white": np.full_like(pixels, 255),
    }[content]
    other = np.where(mask[:, :, None], hidden, pixels)
    options = {
        "seam": seam,
        "infill": infill,
        "steps": 2,
        "share": data.draw(st.sampled_from([0.0, 0.4])),
        "ring": data.draw(st.integers(0, 1)),
        "context": data.draw(st.sampled_from([0.0, 0.75, 3.0])),
    }
    one, two = tiny_pipeline(pixels, mask, **options), tiny_pipeline(other, mask, **options)
    if mask.any():
        assert_same(one, two)


def test_hidden_content_plays_no_part_in_a_large_picture(tiny_pipeline):
    """Catches a leak through scaling, and through Poisson's coarse levels, at the size of a photo."""
    pixels, mask = smooth_pixels(420, 500, 1), box_mask(420, 500, 30, 40, 390, 380)
    other = pixels.copy()
    other[mask] = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (int(mask.sum()), 3))
    one, two = tiny_pipeline(pixels, mask), tiny_pipeline(other, mask)
    assert_same(one, two)
    np.testing.assert_array_equal(one.pictures[0].pixels[~mask], pixels[~mask])


def test_alpha_inside_the_hole_plays_no_part(tiny_pipeline):
    """Catches the erased part's transparency showing in the result."""
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    one = tiny_pipeline(np.dstack([IMAGE, alpha]), MASK)
    two = tiny_pipeline(np.dstack([IMAGE, np.where(MASK, 255 - alpha, alpha)]), MASK)
    assert_same(one, two)
    np.testing.assert_array_equal(one.pictures[0].alpha, two.pictures[0].alpha)
    np.testing.assert_array_equal(one.pictures[0].alpha[~MASK], alpha[~MASK])
    assert (one.pictures[0].alpha[MASK] == 255).all()


def test_an_empty_mask_returns_the_image_and_says_so(tiny_pipeline):
    result = tiny_pipeline(IMAGE, np.zeros_like(MASK), samples=2)
    assert result.note is not None
    assert "empty" in result.note
    assert len(result.pictures) == 2
    np.testing.assert_array_equal(result.pictures[1].pixels, IMAGE)
    assert result.history == ()
    assert result.uncertainty.shape == MASK.shape
    assert not result.uncertainty.any()
    with pytest.raises(ConfigError, match="step = 1"):
        tiny_pipeline.draw_step(result, 1)


def test_a_pipeline_prints_what_it_is(tiny_pipeline):
    """Catches an address in place of what one wants to know."""
    said = repr(tiny_pipeline)
    assert re.fullmatch(
        r"<InpaintPipeline \d+ x \d+ pixels, .* tokens of \d+ codes, \d+ steps, \S+ on cpu>", said
    )
    assert str(CODES) in said


def test_the_public_names_are_there():
    """Catches a name of the README that moved."""
    for name in maskmend.__all__:
        assert getattr(maskmend, name) is not None
    assert maskmend.InpaintPipeline is InpaintPipeline
    with pytest.raises(AttributeError, match="InpaintPipelin"):
        maskmend.InpaintPipelin  # noqa: B018


def test_a_pipeline_bounds_the_kernel_caches(tiny_pipeline, monkeypatch):
    """Catches memory that grows with every new shape of hole, and limits of the user's that are overruled."""
    first, second = LIMITS
    monkeypatch.delenv(first, raising=False)
    monkeypatch.setenv(second, "7")
    InpaintPipeline(tiny_pipeline.tokenizer, tiny_pipeline.transformer)
    assert os.environ[first] == LIMITS[first]
    assert os.environ[second] == "7"
