"""LPIPS on random weights, and on the published ones where they have been fetched."""

from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from fakes import waves
from maskmend.errors import ConfigError, WeightsError
from maskmend.images.tensors import to_tensor
from maskmend.perceptual.lpips import LAYERS, Lpips, NetName
from maskmend.perceptual.weights import cached_path

PUBLISHED = {"vgg16": 0.58702, "alexnet": 0.56851}
"""LPIPS of a vertical ramp and its mirror image, as first measured here; a change is a change of meaning."""

PACKAGE = {
    "alexnet": ([0.246131, 0.298590, 0.199499], [0.000876, 0.000964, 0.001592]),
    "vgg16": ([0.517586, 0.598966, 0.574248], [0.005970, 0.008241, 0.007287]),
}
"""What the `lpips` package gives, version 0.1.4, with the heads it publishes: three pairs of different waves,
and three waves against themselves 20 grey levels brighter. (The package's own example pictures are in none of
its releases, so these are pictures anyone can make.)"""

NETS: tuple[NetName, ...] = ("vgg16", "alexnet")


@pytest.fixture(params=NETS)
def lpips(request: pytest.FixtureRequest) -> Lpips:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Lpips(request.param)


def images(seed: int, count: int = 2, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_identity_symmetry_and_order_in_the_batch(lpips: Lpips) -> None:
    a, b = images(0), images(1)
    assert lpips(a, a).tolist() == [0.0, 0.0]
    torch.testing.assert_close(lpips(a, b), lpips(b, a))
    torch.testing.assert_close(lpips(a, b)[1:], lpips(a[1:], b[1:]))
    assert (lpips(a, b) > 0).all()


def test_against_the_formula(lpips: Lpips) -> None:
    """Restates the paper's sum with plain loops; would catch a wrong tap, pooling, mean or normalisation."""
    a, b = images(2, 1, 48), images(3, 1, 48)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    pools = {"vgg16": {2: 2, 4: 2, 7: 2, 10: 2}, "alexnet": {1: 3, 2: 3}}[lpips.net]
    taps = {"vgg16": [1, 3, 6, 9, 12], "alexnet": [0, 1, 2, 3, 4]}[lpips.net]
    x, y, total = (a - shift) / scale, (b - shift) / scale, 0.0
    for index, conv in enumerate(lpips.convs):
        if index in pools:
            x, y = F.max_pool2d(x, pools[index], 2), F.max_pool2d(y, pools[index], 2)
        x, y = conv(x).clamp(min=0), conv(y).clamp(min=0)
        if index in taps:
            unit_x, unit_y = F.normalize(x, dim=1), F.normalize(y, dim=1)
            head = lpips.heads[taps.index(index)]
            total += float(((unit_x - unit_y) ** 2 * head.view(1, -1, 1, 1)).sum(1).mean())
    assert lpips(a, b).item() == pytest.approx(total, rel=1e-4)


def test_gradient_reaches_the_asking_image_only(lpips: Lpips) -> None:
    """Would catch a gradient cut off, or features of the truth recorded for nothing."""
    a, b = images(4).requires_grad_(), images(5)
    lpips.train()
    assert not lpips.training
    lpips(a, b).sum().backward()
    assert a.grad is not None
    assert a.grad.abs().sum() > 0
    assert b.grad is None
    assert all(parameter.grad is None for parameter in lpips.parameters())
    assert not any(feature.requires_grad for feature in lpips._recorded(b))


def test_gradient_is_finite_on_flat_images(lpips: Lpips) -> None:
    """Would catch the root of zero where every channel of a pixel is off."""
    for conv in lpips.convs:
        assert conv.bias is not None
        conv.bias.data.fill_(-1e3)
    a = torch.zeros(1, 3, 32, 32, requires_grad=True)
    lpips(a, images(6, 1)).sum().backward()
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


def test_channels_last_agrees(lpips: Lpips) -> None:
    a, b = images(7), images(8)
    expected = lpips(a, b)
    moved = lpips.to(memory_format=torch.channels_last)
    found = moved(a.to(memory_format=torch.channels_last), b.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_file_round_trip_is_strict(tmp_path: Path) -> None:
    lpips, path = Lpips("alexnet"), tmp_path / "alexnet.safetensors"
    state = {name: tensor.contiguous() for name, tensor in lpips.state_dict().items()}
    save_file(state, path)
    torch.testing.assert_close(
        Lpips.from_file(path, "alexnet")(images(0), images(1)), lpips(images(0), images(1))
    )
    with pytest.raises(WeightsError, match="vgg16"):
        Lpips.load("vgg16", path)
    save_file({name: tensor for name, tensor in state.items() if name != "heads.3"}, path)
    with pytest.raises(WeightsError, match=r"heads\.3"):
        Lpips.from_file(path, "alexnet")
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="weights fetch"):
        Lpips.from_file(path, "alexnet")


def test_bad_arguments_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # The annotations' checker of the tests would come first
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ConfigError, match="'vgg16', 'alexnet'"):
        Lpips("resnet")  # pyright: ignore[reportArgumentType]
    small = Lpips("alexnet")
    with pytest.raises(ConfigError, match="31 x 31"):
        small(images(0, side=24), images(1, side=24))
    with pytest.raises(ConfigError, match="one shape"):
        small(images(0), images(1, side=48))


def test_smallest_size_works(lpips: Lpips) -> None:
    """Would catch a limit in the message that is not the real one."""
    side = {"vgg16": 16, "alexnet": 31}[lpips.net]
    assert torch.isfinite(lpips(images(0, side=side), images(1, side=side))).all()


@pytest.mark.parametrize("net", NETS)
def test_published_weights(net: NetName) -> None:
    """Would catch a conversion that loads but means something else; figures measured once on these images."""
    if not cached_path(f"lpips-{net}").is_file():
        pytest.skip(f"weights lpips-{net} are not fetched: maskmend weights fetch")
    lpips = Lpips.load(net)
    assert len(lpips.convs) == len(LAYERS[net])
    assert all((head >= 0).all() for head in lpips.heads)
    grid = torch.linspace(-1, 1, 64)
    ramp = (grid[:, None] + 0 * grid[None, :]).expand(1, 3, 64, 64)
    small, large = ramp + 0.02, -ramp
    near, far = lpips(ramp, small).item(), lpips(ramp, large).item()
    assert lpips(ramp, ramp).item() == 0
    assert near < 0.05 < far
    assert far == pytest.approx(PUBLISHED[net], rel=1e-3)


@pytest.mark.parametrize("net", NETS)
def test_the_lpips_package_agrees(net: NetName) -> None:
    """An independent implementation, the authors' own; would catch whatever our restated formula shares."""
    if not cached_path(f"lpips-{net}").is_file():
        pytest.skip(f"weights lpips-{net} are not fetched: maskmend weights fetch")
    lpips, first = Lpips.load(net), waves(3, 0)
    brighter = np.minimum(first, 235) + np.uint8(20)
    a, b, c = (torch.cat([to_tensor(image) for image in images]) for images in (first, waves(3, 1), brighter))
    apart, near = PACKAGE[net]
    assert lpips(a, b).tolist() == pytest.approx(apart, abs=2e-5)
    assert lpips(a, c).tolist() == pytest.approx(near, abs=2e-6)
