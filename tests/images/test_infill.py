"""Infill: nothing of the hole may leak, known pixels stay, and the batch does not matter."""

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmend.errors import ConfigError, MaskError
from maskmend.images.infill import STRATEGIES, infill

names = st.sampled_from(sorted(STRATEGIES))


def batch(seed: int, size: int, height: int, width: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.uniform(-1, 1, (size, 3, height, width)).astype(np.float32))
    return images, torch.from_numpy(rng.random((size, 1, height, width)) < share)


@settings(deadline=None)
@given(
    name=names,
    seed=st.integers(0, 2**31),
    h=st.integers(1, 21),
    w=st.integers(1, 21),
    share=st.sampled_from([0.0, 0.2, 0.7, 0.97, 1.0]),
    junk=st.sampled_from([0.0, -1.0, 1e30, float("nan"), float("inf")]),
)
def test_hole_content_plays_no_part_and_known_pixels_stay(name, seed, h, w, share, junk):
    """Catches a fill that multiplies by the mask (NaN survives) or rounds known pixels."""
    images, masks = batch(seed, 2, h, w, share)
    other = torch.where(masks, torch.full_like(images, junk), images)
    filled = infill(images, masks, name)
    assert torch.equal(filled, infill(other, masks, name))
    assert torch.equal(filled[~masks.expand_as(images)], images[~masks.expand_as(images)])
    assert torch.isfinite(filled).all()
    for image, mask, out in zip(images, masks, filled, strict=True):
        known = image[:, ~mask[0]]
        if known.numel() and name != "grey":
            assert (out.amax((1, 2)) <= known.amax(1) + 1e-5).all()
            assert (out.amin((1, 2)) >= known.amin(1) - 1e-5).all()
        elif not known.numel():
            assert (out == 0).all()


@settings(deadline=None, max_examples=25)
@given(name=names, seed=st.integers(0, 2**31), size=st.integers(2, 9), side=st.sampled_from([7, 32, 64]))
def test_same_bits_in_any_batch(name, seed, size, side):
    """Catches library reductions whose order of summation depends on the batch."""
    images, masks = batch(seed, size, side, side, 0.4)
    together = infill(images, masks, name)
    for i in range(size):
        assert torch.equal(together[i : i + 1], infill(images[i : i + 1], masks[i : i + 1], name))


def test_mean_is_the_mean_of_known_pixels_only():
    """Catches the hole's zeros being counted."""
    images, masks = batch(0, 3, 13, 20, 0.5)
    filled = infill(images, masks, "mean")
    for image, mask, out in zip(images, masks[:, 0], filled, strict=True):
        torch.testing.assert_close(
            out[:, mask], image[:, ~mask].mean(1, keepdim=True).expand(3, int(mask.sum()))
        )


def test_nearest_copies_the_nearest_known_colour():
    """Catches swapped rows and columns in the index map."""
    images = torch.zeros(1, 3, 6, 10)
    images[..., :2], images[..., 8:] = -0.5, 0.5
    masks = torch.zeros(1, 1, 6, 10, dtype=torch.bool)
    masks[..., 2:8] = True
    filled = infill(images, masks, "nearest")
    assert (filled[..., :5] == -0.5).all()
    assert (filled[..., 5:] == 0.5).all()


def test_diffusion_continues_a_ramp_smoothly():
    """Catches blocky pyramids: across a hole in a linear ramp the membrane is the ramp itself."""
    ramp = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64).contiguous()
    masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    masks[..., 20:44, 20:44] = True
    error = (infill(ramp, masks, "diffusion") - ramp).abs()
    assert error.max() < 0.1  # a fill with the mean is 0.37 off
    assert error.mean() < 0.01


def test_unknown_strategy_and_wrong_masks_are_refused():
    """Catches a misspelt recipe, and float or three-channel masks that would broadcast into nonsense."""
    images, masks = batch(0, 2, 8, 8, 0.5)
    with pytest.raises(ConfigError, match="diffusion"):
        infill(images, masks, "difusion")
    # Where the annotations are checked at run time, the checker is first to speak.
    for wrong in (masks.float(), masks[:1], masks.expand(2, 3, 8, 8)):
        with pytest.raises((MaskError, jaxtyping.TypeCheckError)):
            infill(images, wrong, "grey")
