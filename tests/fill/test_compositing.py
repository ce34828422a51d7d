"""Compositing: known pixels bit for bit, the original's hole without influence, seams that do what they
say."""

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmend.errors import ConfigError, ImageError, MaskError
from maskmend.fill.compositing import SEAMS, composite
from maskmend.metrics.pixels import seam_step


def scene(seed: int, h: int, w: int, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    original = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
    return original, rng.uniform(-20, 275, (h, w, 3)).astype(np.float32), rng.random((h, w)) < share


@settings(deadline=None)
@given(
    seam=st.sampled_from(SEAMS),
    seed=st.integers(0, 2**31),
    h=st.integers(1, 24),
    w=st.integers(1, 24),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]),
    whole=st.booleans(),
)
def test_known_pixels_are_untouched_and_the_old_hole_is_not_seen(seam, seed, h, w, share, whole):
    """Catches blends that bleed outwards, and the removed object shining through the seam."""
    original, fill, mask = scene(seed, h, w, share)
    if whole:
        fill = fill.clip(0, 255).astype(np.uint8)
    result = composite(original, fill, mask, seam=seam)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result[~mask], original[~mask])
    other = np.where(mask[:, :, None], 255 - original, original)
    np.testing.assert_array_equal(result, composite(other, fill, mask, seam=seam))


@pytest.mark.parametrize("seam", SEAMS)
def test_inputs_stay_as_they_were(seam):
    """Catches work in place on the caller's arrays."""
    arrays = scene(0, 12, 12, 0.4)
    before = [array.copy() for array in arrays]
    composite(*arrays, seam=seam)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("seam", SEAMS)
def test_a_perfect_fill_and_an_all_hole_image_need_no_correction(seam):
    """Catches seams that change what already fits, and a singular system when nothing is known."""
    original, fill, mask = scene(1, 20, 20, 0.4)
    np.testing.assert_array_equal(composite(original, original, mask, seam=seam), original)
    everything = np.ones_like(mask)
    np.testing.assert_array_equal(
        composite(original, fill, everything, seam=seam), np.rint(fill).clip(0, 255).astype(np.uint8)
    )


def shifted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A ramp and the same ramp 40 levels darker as its fill, with a hole that touches the border."""
    ramp = np.broadcast_to(np.linspace(60, 200, 48)[None, :, None], (48, 48, 3)).round().astype(np.uint8)
    mask = np.zeros((48, 48), dtype=bool)
    mask[20:48, 12:40] = True
    return ramp, ramp - np.uint8(40), mask


def test_poisson_takes_the_level_from_around():
    """Catches a wrong sign, a wrong degree at the border, or unknowns in the wrong order."""
    ramp, dark, mask = shifted()
    np.testing.assert_array_equal(composite(ramp, dark, mask, seam="poisson"), ramp)


def test_poisson_correction_is_harmonic():
    """Catches a solver that only nearly solves: away from known pixels the correction is its neighbours'
    mean."""
    rng = np.random.default_rng(5)
    original = rng.integers(100, 156, (16, 16, 3), dtype=np.uint8)
    mask = np.zeros((16, 16), dtype=bool)
    mask[3:13, 3:13] = True
    flat = np.zeros((16, 16, 3))
    result = composite(original, flat, mask, seam="poisson").astype(float)
    middle = (result[3:11, 4:12] + result[5:13, 4:12] + result[4:12, 3:11] + result[4:12, 5:13]) / 4
    assert np.abs(result[4:12, 4:12] - middle).max() <= 1  # rounding to whole levels


@pytest.mark.parametrize("seam", ["feather", "multiband", "poisson"])
def test_soft_seams_close_the_step_that_a_hard_one_leaves(seam):
    """Catches blends that leave the jump at the seam, or move the fill far from it (poisson is meant to)."""
    ramp, dark, mask = shifted()
    hard, soft = composite(ramp, dark, mask), composite(ramp, dark, mask, seam=seam)
    assert abs(seam_step(soft, ramp, mask)) < 0.35 * seam_step(hard, ramp, mask)
    wrong = [image.astype(np.float64) - ramp for image in (soft, hard)]
    steps = [
        np.concatenate([np.abs(np.diff(one, axis=axis)[np.diff(mask, axis=axis)]) for axis in (0, 1)]).mean()
        for one in wrong
    ]
    assert steps[0] < 0.35 * steps[1]
    if seam != "poisson":
        assert np.abs(soft[40, 26].astype(int) - dark[40, 26]).max() <= 10  # of the 40


def test_misfits_are_refused():
    """Catches broadcasting of a wrong shape, NaN cast to black, and a misspelt seam."""
    original, fill, mask = scene(0, 8, 8, 0.5)
    with pytest.raises(ConfigError, match="poisson"):
        composite(original, fill, mask, seam="poison")
    with pytest.raises(ImageError, match="finite"):
        composite(original, np.full_like(fill, np.nan), mask)
    # Where the annotations are checked at run time, the checker is first to speak.
    with pytest.raises((ImageError, jaxtyping.TypeCheckError)):
        composite(original, fill[:4], mask)
    with pytest.raises((MaskError, jaxtyping.TypeCheckError)):
        composite(original, fill, mask[:4])
    with pytest.raises((MaskError, jaxtyping.TypeCheckError)):
        composite(original, fill, mask.astype(np.uint8))
