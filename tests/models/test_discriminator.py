"""The discriminator: its loss, the patches it judges, and that it judges each picture alone."""

import pytest
import torch

from maskmend.errors import ConfigError
from maskmend.models.discriminator import FeatureDiscriminator, PatchDiscriminator, hinge_loss


def pictures(count, side=32, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_hinge_loss_on_paper():
    """Catches exchanged signs, and margins that go on pushing patches judged well enough."""
    real, fake = torch.tensor([2.0, 1.0, 0.0, -1.0]), torch.tensor([-2.0, -1.0, 0.0, 1.0])
    assert float(hinge_loss(real, fake)) == pytest.approx(0.5 * (0 + 0 + 1 + 2) / 4 * 2)
    assert float(hinge_loss(torch.full((2, 1, 3, 3), 1.5), torch.full((2, 1, 3, 3), -1.5))) == 0
    assert float(hinge_loss(torch.tensor([-3.0]), torch.tensor([-5.0]))) == pytest.approx(2)
    assert float(hinge_loss(torch.tensor([5.0]), torch.tensor([3.0]))) == pytest.approx(2)


@pytest.mark.parametrize(("side", "layers", "patches"), [(64, 2, 14), (64, 3, 6), (32, 2, 6), (32, 1, 14)])
def test_one_logit_for_each_patch(side, layers, patches):
    """Catches a discriminator that pools to one judgement for the picture, or that strides once too often."""
    assert PatchDiscriminator(4, layers)(pictures(2, side)).shape == (2, 1, patches, patches)


def test_a_judgement_does_not_depend_on_the_other_pictures():
    """Catches BatchNorm: training would depend on how a batch was split."""
    torch.manual_seed(0)
    judge = PatchDiscriminator(8).train()
    together = judge(pictures(3))
    alone = torch.cat([judge(picture[None]) for picture in pictures(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_it_can_be_pushed_both_ways():
    """Catches a graph that is cut: neither the discriminator nor the generator would learn."""
    torch.manual_seed(0)
    judge, fake = PatchDiscriminator(4), pictures(2, seed=1).requires_grad_()
    hinge_loss(judge(pictures(2)), judge(fake)).backward()
    assert fake.grad is not None
    assert fake.grad.abs().max() > 0
    assert all(p.grad is not None for p in judge.parameters())


@pytest.mark.parametrize(("channels", "layers"), [(0, 2), (6, 2), (8, -1)])
def test_impossible_sizes_are_named(channels, layers):
    """Catches a recipe's value that ends in a message about groups instead of the setting."""
    with pytest.raises(ConfigError, match=f"discriminator_channels={channels}.*multiple of 4"):
        PatchDiscriminator(channels, layers)


def test_features_are_judged_at_each_place_of_each_layer():
    """Catches a layer that is left out, one judgement for the whole picture, and one that depends on the
    other pictures of the batch."""
    torch.manual_seed(0)
    judge = FeatureDiscriminator([4, 8], channels=8).train()
    taps = [torch.randn(3, 4, 16, 16), torch.randn(3, 8, 4, 4)]
    taps = [tap / tap.norm(dim=1, keepdim=True) for tap in taps]
    verdicts = judge(taps)
    assert [verdict.shape for verdict in verdicts] == [(3, 1, 8, 8), (3, 1, 2, 2)]
    for number, verdict in enumerate(verdicts):
        alone = judge([tap[1:2] for tap in taps])[number]
        torch.testing.assert_close(alone, verdict[1:2], atol=1e-5, rtol=1e-5)
