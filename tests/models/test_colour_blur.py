"""Colour is blurred, brightness is not."""

import torch

from maskmend.models.colour_blur import ColourBlur


def test_blurred_colour_leaves_the_brightness_alone():
    """Catches a blur of the whole picture, one that darkens its border, and one that leaves colour sharp."""
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    blurred = ColourBlur(1.0)(picture)
    grey = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    torch.testing.assert_close((blurred * grey).sum(1), (picture * grey).sum(1))
    before, after = (image - (image * grey).sum(1, keepdim=True) for image in (picture, blurred))
    assert after.diff().abs().mean() < 0.25 * before.diff().abs().mean()
    one = torch.tensor([0.5, -0.25, 0.75])[:, None, None].expand(1, 3, 8, 8)
    torch.testing.assert_close(ColourBlur(2.0)(one), one)
