"""Tensors and pictures: every level comes back, and a range that may be another is refused."""

import numpy as np
import pytest
import torch

from maskmend.errors import ConfigError, ImageError
from maskmend.images.picture import picture_from
from maskmend.images.tensors import to_tensor, to_uint8


def test_a_tensor_that_may_go_from_0_to_1_is_refused():
    """Catches a picture made pale because its tensor was meant otherwise."""
    with pytest.raises(ImageError, match=r"value_range=\(0, 1\) or value_range=\(-1, 1\)"):
        picture_from(torch.full((3, 4, 4), 0.5))
    picture_from(torch.full((3, 4, 4), -0.5))


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (0.0, 255.0), (-0.5, 0.5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_every_level_of_a_scale_that_is_told_comes_back(value_range, dtype):
    """Catches known pixels that are shifted, or off by one in a scale's arithmetic."""
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, 16, 16)
    low, high = value_range
    scaled = (levels.double() / 255 * (high - low) + low).to(dtype)
    np.testing.assert_array_equal(picture_from(scaled, value_range).pixels, levels.permute(1, 2, 0))
    np.testing.assert_array_equal(picture_from(levels, value_range).pixels, levels.permute(1, 2, 0))


@pytest.mark.parametrize("wrong", [(1, 0), (0, 0), (0, float("nan")), (0, float("inf"))])
def test_a_range_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"value_range = .*such as"):
        picture_from(torch.zeros(3, 4, 4), wrong)


def test_uint8_round_trip_is_exact():
    """Catches off-by-one greys on the way through [-1, 1]."""
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    tensor = to_tensor(levels)
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.dtype == torch.float32
    assert (tensor.min(), tensor.max()) == (-1, 1)
    np.testing.assert_array_equal(to_uint8(tensor), levels)
    np.testing.assert_array_equal(to_uint8(tensor[0] * 3)[0, 0], [0, 0, 0])
