"""The Inception features: the resize by hand, and the published weights where they were fetched."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fakes import waves
from maskmend.errors import WeightsError
from maskmend.metrics.fid import fid, fid_interval
from maskmend.perceptual.inception import Inception, resize_corner
from maskmend.perceptual.weights import cached_path


def test_resize_by_hand() -> None:
    """Corner origin: target i reads i * 2 / 4. Would catch the half-pixel shift of today's resize."""
    row = torch.tensor([0.0, 10.0]).view(1, 1, 1, 2)
    assert resize_corner(row, 4)[0, 0, 0].tolist() == [0, 5, 10, 10]
    assert resize_corner(torch.tensor([0.0, 2, 4, 6]).view(1, 1, 1, 4), 2)[0, 0, 1].tolist() == [0, 4]


def test_resize_agrees_with_a_sampling_grid() -> None:
    """The same convention by another way: an affine grid moved by half a pixel's difference."""
    x = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 255
    theta = torch.eye(2, 3).repeat(2, 1, 1)
    theta[:, 0, 2] = 1 / 64 - 1 / 299
    theta[:, 1, 2] = 1 / 48 - 1 / 299
    grid = torch.nn.functional.affine_grid(theta, [2, 3, 299, 299], align_corners=False)
    expected = torch.nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(resize_corner(x, 299), expected, rtol=0, atol=0.01)


def test_images_of_the_right_size_are_left_alone() -> None:
    x = torch.rand(1, 3, 299, 299)
    assert resize_corner(x, 299) is x


def test_a_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_file({"conv.weight": torch.zeros(32, 3, 3, 3)}, path)
    with pytest.raises(WeightsError, match="weights fetch"):
        Inception.load(path)


@pytest.fixture(scope="module")
def published() -> Inception:
    if not cached_path("inception").is_file():
        pytest.skip("weights inception are not fetched: maskmend weights fetch")
    return Inception.load()


def test_fid_of_an_independent_implementation(published: Inception) -> None:
    """140.3027 is what the original TorchScript network, a grid-sampled resize and SciPy's sqrtm give."""
    results = published.features(waves(12, 0))
    truths = published.features(waves(12, 1)[:, ::-1] // 2 + 60)
    assert results.shape == (12, 2048)
    np.testing.assert_allclose(results[0, :4], [0.09822449, 0.713404, 0.00624079, 0.13628592], atol=2e-4)
    assert fid(results, truths) == pytest.approx(140.3027, rel=1e-4)
    assert fid_interval(results, truths, repeats=1).value == pytest.approx(140.3027, rel=1e-4)


def test_the_same_picture_in_any_batch(published: Inception) -> None:
    images = waves(3, 5)
    np.testing.assert_allclose(published.features(images)[2:], published.features(images[2:]), atol=1e-4)
