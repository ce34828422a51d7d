"""The classifier's features: the published network, restated plainly, gives the same ones."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from maskmend.errors import WeightsError
from maskmend.perceptual.efficientnet import EfficientNet
from maskmend.perceptual.weights import cached_path

# Kernel, stride, expansion, input, output of each of the sixteen blocks, as the published table has them.
BLOCKS = (
    (3, 1, 1, 32, 16), (3, 2, 6, 16, 24), (3, 1, 6, 24, 24), (5, 2, 6, 24, 40), (5, 1, 6, 40, 40),
    (3, 2, 6, 40, 80), (3, 1, 6, 80, 80), (3, 1, 6, 80, 80), (5, 1, 6, 80, 112), (5, 1, 6, 112, 112),
    (5, 1, 6, 112, 112), (5, 2, 6, 112, 192), (5, 1, 6, 192, 192), (5, 1, 6, 192, 192), (5, 1, 6, 192, 192),
    (3, 1, 6, 192, 320),
)  # fmt: skip
TAPS = (2, 4, 10, 15)


def convolved(
    x: Tensor, state: dict[str, Tensor], name: str, kernel: int, stride: int, groups: int
) -> Tensor:
    """Padded by hand, by TensorFlow's rule for even sides: one more pixel at the end where strides are 2."""
    before, after = ((kernel - 2) // 2, kernel // 2) if stride == 2 else (kernel // 2, kernel // 2)
    padded = torch.zeros(*x.shape[:2], x.shape[2] + before + after, x.shape[3] + before + after)
    padded[:, :, before : before + x.shape[2], before : before + x.shape[3]] = x
    return F.conv2d(padded, state[f"{name}.weight"], state[f"{name}.bias"], stride, groups=groups)


def plain(state: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    x, found = convolved(x, state, "stem", 3, 2, 1).clamp(0, 6), []
    for number, (kernel, stride, expansion, width, outer) in enumerate(BLOCKS):
        y, name = x, f"blocks.{number}"
        if expansion > 1:
            y = convolved(y, state, f"{name}.expand", 1, 1, 1).clamp(0, 6)
        y = convolved(y, state, f"{name}.depthwise", kernel, stride, y.shape[1]).clamp(0, 6)
        y = convolved(y, state, f"{name}.project", 1, 1, 1)
        x = x + y if stride == 1 and width == outer else y
        if number in TAPS:
            found.append(x)
    return found


def pictures(count: int, side: int) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(side)) * 2 - 1


def test_features_are_those_of_a_plain_restatement() -> None:
    """Would catch a stride, a padding, a shortcut or a tap at another place than the published network's."""
    torch.manual_seed(0)
    network, images = EfficientNet(), pictures(2, 128)
    state = network.state_dict()
    features = network.features(images)
    assert [feature.shape[1:] for feature in features] == [
        (24, 32, 32), (40, 16, 16), (112, 8, 8), (320, 4, 4)
    ]  # fmt: skip
    assert network.widths == [24, 40, 112, 320]
    for feature, wanted in zip(features, plain(state, images), strict=True):
        torch.testing.assert_close(feature, wanted, atol=1e-5, rtol=1e-4)


def test_small_pictures_are_enlarged_and_large_ones_are_not() -> None:
    """Would catch 64 pixels seen as 2 x 2 places, and a picture of 256 pixels shrunk or enlarged."""
    torch.manual_seed(0)
    network = EfficientNet()
    for side, places in ((16, 4), (64, 4), (128, 4), (256, 8)):
        assert network.features(pictures(1, side))[-1].shape[-1] == places
    small = pictures(1, 64)
    large = F.interpolate(small, size=128, mode="bilinear", align_corners=False)
    assert all(
        torch.equal(a, b) for a, b in zip(network.features(small), network.features(large), strict=True)
    )


def test_gradients_reach_the_pictures_and_not_the_weights() -> None:
    """Would catch a network that learns along, and one that pushes nothing."""
    torch.manual_seed(0)
    network, images = EfficientNet(), pictures(1, 32).requires_grad_()
    torch.stack([feature.square().mean() for feature in network.features(images)]).sum().backward()
    assert images.grad is not None
    assert bool(images.grad.any())
    assert all(weight.grad is None for weight in network.parameters())


def test_the_distance_is_that_of_directions() -> None:
    """Would catch a sum over places or layers instead of a mean, pictures mixed, and lengths that count."""
    a = [torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 2, 2)]
    b = [feature.clone() for feature in a]
    for feature in (*a, *b):
        feature[:, 0] = 7.0
    b[0][1] *= 3  # longer, the same way
    b[1][1, :, 0, 0] = torch.tensor([0.0, 2.0, 0, 0, 0])  # at right angles: squared distance 2
    b[1][1, 0, 1, 1] = -1  # the other way: 4
    torch.testing.assert_close(EfficientNet().feature_distance(a, b), torch.tensor([0.0, (2 + 4) / 4 / 2]))


def test_other_weights_are_refused(tmp_path: Path) -> None:
    """Would catch a file of another network that is taken as far as its names agree."""
    state = EfficientNet().state_dict()
    del state["blocks.3.project.bias"]
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="does not hold the weights of EfficientNet-Lite0"):
        EfficientNet.load(tmp_path / "other.safetensors")


def test_published_weights() -> None:
    """Would catch a folding that loads but means something else: batch norms keep each layer's output near
    zero mean and moderate spread, on pictures like those the network was trained on as on this ramp."""
    if not cached_path("efficientnet-lite0").is_file():
        pytest.skip("weights efficientnet-lite0 are not fetched: maskmend weights fetch")
    grid = torch.linspace(-1, 1, 64)
    ramp = (grid[:, None] + 0 * grid[None, :]).expand(1, 3, 64, 64)
    spreads = [float(feature.std()) for feature in EfficientNet.load().features(ramp)]
    assert spreads == pytest.approx(PUBLISHED, rel=1e-3)


PUBLISHED = [6.4649, 6.5673, 5.5699, 1.6464]
"""Measured once. With the classifier's own head behind the features the 16 first validation cats were
cats (classes 281 to 285) with 95 % of the probability."""
