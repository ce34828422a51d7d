"""Pixel figures against values computed by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmend.errors import ImageError, MaskError
from maskmend.metrics.pixels import hole_l1, hole_psnr, known_error, psnr, seam_band, seam_l1, seam_step, ssim


def flat(value: int, side: int = 16) -> np.ndarray:
    return np.full((side, side, 3), value, dtype=np.uint8)


def noise(seed: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_psnr_of_the_hole_ignores_known_pixels() -> None:
    """Would catch a figure that grows with the picture around the same hole."""
    result, truth, mask = flat(100), flat(100), np.zeros(flat(0).shape[:2], dtype=bool)
    mask[:2, :2] = True
    result[:2, :2] = 110
    result[-1, -1] = 0  # a known pixel
    assert hole_psnr(result, truth, mask) == pytest.approx(20 * math.log10(25.5))
    assert hole_psnr(truth, truth, mask) == math.inf
    assert math.isnan(hole_psnr(result, truth, np.zeros_like(mask)))


def test_psnr_by_hand() -> None:
    """A difference of 10 everywhere: 20 log10(255 / 10). Would catch uint8 differences that wrap around."""
    assert psnr(flat(100), flat(110)) == pytest.approx(20 * math.log10(25.5))
    assert psnr(flat(110), flat(100)) == pytest.approx(20 * math.log10(25.5))
    assert psnr(flat(0), flat(255)) == 0
    assert psnr(flat(7), flat(7)) == math.inf


def test_ssim_of_flat_images_by_hand() -> None:
    """No variance: only the luminance term, (2ab + C1) / (a^2 + b^2 + C1), is left."""
    c1 = (0.01 * 255) ** 2
    assert ssim(flat(100), flat(120)) == pytest.approx((2 * 12000 + c1) / (10000 + 14400 + c1))


def test_ssim_against_its_formula_window_by_window() -> None:
    """Would catch padded borders, a wrong window, or sample instead of population variances."""
    a, b = noise(0, 13), noise(1, 13)
    steps = np.arange(11) - 5
    window = np.exp(-(steps[:, None] ** 2 + steps[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for channel in range(3):
        for top in range(3):
            for left in range(3):
                p = a[top : top + 11, left : left + 11, channel].astype(float)
                q = b[top : top + 11, left : left + 11, channel].astype(float)
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                cov = (window * (p - mp) * (q - mq)).sum()
                values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    assert ssim(a, b) == pytest.approx(np.mean(values))


@given(seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_ssim_bounds_and_identity(seed: int) -> None:
    a, b = noise(seed), noise(seed + 1)
    assert ssim(a, a) == pytest.approx(1)
    assert ssim(a, b) == pytest.approx(ssim(b, a))
    assert -1 <= ssim(a, b) < 1


def test_hole_l1_sees_the_hole_only() -> None:
    mask = np.zeros((16, 16), dtype=bool)
    mask[4:8, 4:8] = True
    result = flat(100)
    result[mask] = 151
    result[0, 0] = 0
    assert hole_l1(result, flat(100), mask) == pytest.approx(51 / 255)
    assert known_error(result, flat(100), mask) == 100
    assert math.isnan(hole_l1(result, flat(100), np.zeros_like(mask)))


def test_known_error_without_known_pixels_is_zero() -> None:
    assert known_error(flat(0), flat(255), np.ones((16, 16), dtype=bool)) == 0


def test_seam_step_by_hand() -> None:
    """Would catch steps within the hole or within the known pixels that count, and a sign the wrong way."""
    truth = np.zeros((3, 4, 3), dtype=np.uint8)
    truth[:, 2:] = 10
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 1] = True  # neighbours: 0 above, 0 below, 0 left, 10 right
    result = truth.copy()
    result[1, 1] = 30
    assert seam_step(result, truth, mask) == pytest.approx(((30 * 3 + 20) - 10) / 4 / 255)
    result[1, 1] = 5
    assert seam_step(result, truth, mask) == pytest.approx(((5 * 3 + 5) - 10) / 4 / 255)
    assert seam_step(truth, truth, mask) == 0
    assert np.isnan(seam_step(truth, truth, np.zeros_like(mask)))


def test_seam_band_by_hand() -> None:
    """A hole in a corner: the picture's edge is no seam, so only the two inner sides count."""
    mask = np.zeros((8, 8), dtype=bool)
    mask[:6, :6] = True
    band = seam_band(mask, width=2)
    expected = mask.copy()
    expected[:4, :4] = False
    np.testing.assert_array_equal(band, expected)
    result = flat(10, 8)
    result[:4, :4] = 200
    assert seam_l1(result, flat(10, 8), mask, width=2) == 0
    result[5, 0] = 61
    assert seam_l1(result, flat(10, 8), mask, width=2) == pytest.approx(51 / 255 / band.sum())


@given(seed=st.integers(0, 999), width=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_seam_band_lies_in_the_hole(seed: int, width: int) -> None:
    mask = np.random.default_rng(seed).random((12, 12)) < 0.6
    band = seam_band(mask, width=width)
    assert not (band & ~mask).any()
    assert not (seam_band(mask, width=width) & ~seam_band(mask, width=width + 1)).any()


@pytest.mark.parametrize("fill", [True, False])
def test_no_seam_without_both_sides(fill: bool) -> None:
    mask = np.full((9, 9), fill)
    assert not seam_band(mask).any()
    assert math.isnan(seam_l1(flat(1, 9), flat(2, 9), mask))


@pytest.mark.usefixtures("unchecked")
def test_bad_sizes_are_named() -> None:
    with pytest.raises(ImageError, match="sizes must agree"):
        psnr(flat(0), flat(0, 12))
    with pytest.raises(ImageError, match="11x11"):
        ssim(flat(0, 10), flat(0, 10))
    with pytest.raises(MaskError, match="sizes must agree"):
        hole_l1(flat(0), flat(0), np.zeros((4, 4), dtype=bool))
    with pytest.raises(MaskError, match="seam width 0"):
        seam_band(np.ones((4, 4), dtype=bool), width=0)


@pytest.mark.parametrize("amount", [0.05, 0.4, 1.0])
def test_psnr_and_ssim_agree_with_torchmetrics(amount: float) -> None:
    """An implementation that others rely on; would catch a misreading of a paper that our own tests share.

    Its SSIM reflects the image at its borders; without that rim its map is that of our windows.
    """
    image = pytest.importorskip("torchmetrics.functional.image", reason="torchmetrics is not installed")
    ramp, other = np.add.outer(np.arange(48), np.arange(48))[:, :, None], noise(1, 48)
    truth = (ramp + noise(0, 48) // 4).astype(np.uint8)
    result = np.rint((1 - amount) * truth + amount * other).astype(np.uint8)
    a, b = (torch.from_numpy(pixels.astype(np.float64)).permute(2, 0, 1)[None] for pixels in (result, truth))
    assert psnr(result, truth) == pytest.approx(
        float(image.peak_signal_noise_ratio(a, b, data_range=255.0)), rel=1e-5
    )
    _, whole = image.structural_similarity_index_measure(a, b, data_range=255.0, return_full_image=True)
    assert ssim(result, truth) == pytest.approx(float(whole[..., 5:-5, 5:-5].mean()), abs=1e-6)
