"""Pictures for the tiny pipeline, and what it means for two results to be the same."""

import numpy as np
from hypothesis import strategies as st

from fakes import smooth_pixels


@st.composite
def pictures(draw, largest=50):
    """Pixels and a mask: smaller, larger and longer than the model's square, empty and full holes too."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    pixels = smooth_pixels(height, width, int(rng.integers(99)))
    if draw(st.booleans()):
        pixels = rng.choice(np.array([0, 255], np.uint8), pixels.shape)
    mask = rng.random((height, width)) < draw(st.sampled_from([0.0, 0.0, 0.05, 1.0]))
    if draw(st.booleans()):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        mask[top : top + draw(st.integers(1, 20)), left : left + draw(st.integers(1, 20))] = True
    return pixels, mask, rng


def assert_same(one, two):
    """Every picture, token and figure of two results, to the bit."""
    for a, b in zip(one.pictures, two.pictures, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
    np.testing.assert_array_equal(one.tokens, two.tokens)
    np.testing.assert_array_equal(one.uncertainty, two.uncertainty)
    np.testing.assert_array_equal(one.log_likelihood, two.log_likelihood)


def assert_alike(one, two):
    """Every picture and token to the bit; figures but for rounding, which depends on the size of a batch."""
    for a, b in zip(one.pictures, two.pictures, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
    np.testing.assert_array_equal(one.tokens, two.tokens)
    np.testing.assert_allclose(one.uncertainty, two.uncertainty, atol=1e-5)
    np.testing.assert_allclose(one.log_likelihood, two.log_likelihood, atol=1e-5)
