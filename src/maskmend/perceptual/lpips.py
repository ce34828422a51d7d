"""LPIPS: the distance of two images in the features of a trained network (Zhang, Isola, Efros, Shechtman,
Wang 2018).

    d(a, b) = sum over layers l of  mean over pixels of  sum over channels c of  w_lc (a_lc - b_lc)^2

where a_l, b_l are the network's activations after each of five ReLUs, scaled to unit length over the
channels, and w are the published non-negative weights ("v0.1"). The networks are stated here as two tables;
the parameters are frozen. As a perceptual loss its gradient reaches only images that require one: the
features of the others are computed without a graph.
"""

import os
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskmend.choices import choice_error
from maskmend.errors import ConfigError
from maskmend.perceptual.frozen import load_frozen
from maskmend.perceptual.weights import locate

NetName = Literal["vgg16", "alexnet"]


class Convolution(NamedTuple):
    """One convolution with ReLU, and the pooling before it."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0
    """Width of the max pooling (stride 2) before the convolution; 0 for none."""
    tap: bool = False
    """Whether the activation enters the distance."""


LAYERS: dict[str, tuple[Convolution, ...]] = {
    "vgg16": tuple(
        Convolution(width, pool=2 if index == 0 and stage > 0 else 0, tap=index == depth - 1)
        for stage, (width, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)])
        for index in range(depth)
    ),
    "alexnet": (
        Convolution(64, kernel=11, stride=4, padding=2, tap=True),
        Convolution(192, kernel=5, padding=2, pool=3, tap=True),
        Convolution(384, pool=3, tap=True),
        Convolution(256, tap=True),
        Convolution(256, tap=True),
    ),
}

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
SMALLEST = {"vgg16": 16, "alexnet": 31}
"""Minimum height and width: below it the last pooling has no input."""


class Lpips(nn.Module):
    """The LPIPS distance on VGG-16 or AlexNet; random weights until a state is loaded (`load`, `from_file`).

    Always in evaluation mode and frozen: `train()` and an optimizer over `parameters()` change nothing.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: NetName = "vgg16"):
        super().__init__()
        if net not in LAYERS:
            raise ConfigError(choice_error("net", net, LAYERS))
        self.net = net
        convs, heads, width = [], [], 3
        for layer in LAYERS[net]:
            convs.append(nn.Conv2d(width, layer.channels, layer.kernel, layer.stride, layer.padding))
            width = layer.channels
            if layer.tap:
                heads.append(nn.Parameter(torch.full((width,), 1.0 / width)))
        self.convs = nn.ModuleList(convs)
        self.heads = nn.ParameterList(heads)
        # Constants of the method, not weights: they are in no published file
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def load(cls, net: NetName = "vgg16", path: str | os.PathLike[str] | None = None) -> "Lpips":
        """The published distance: from the cache, or from `path`. WeightsError if the weights are absent."""
        if net not in LAYERS:
            raise ConfigError(choice_error("net", net, LAYERS))
        return cls.from_file(locate(f"lpips-{net}", path), net)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], net: NetName = "vgg16") -> "Lpips":
        """Loads converted weights strictly: WeightsError for other names, shapes or a damaged file."""
        lpips = cls(net)
        load_frozen(lpips, path, f"the LPIPS weights of {net}")
        return lpips

    def train(self, mode: bool = True) -> "Lpips":
        """Stays in evaluation mode, whatever mode its parent module is in."""
        return super().train(False)

    @property
    def widths(self) -> list[int]:
        """Channels of each of `features`."""
        return [len(head) for head in self.heads]

    def features(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The five activations (B, C_l, h_l, w_l) of images in [-1, 1], each pixel scaled to unit length."""
        if min(images.shape[-2:]) < SMALLEST[self.net]:
            raise ConfigError(
                f"images of {images.shape[-2]} x {images.shape[-1]} pixels are too small for LPIPS on "
                f"{self.net}: give at least {SMALLEST[self.net]} x {SMALLEST[self.net]}"
            )
        x = (images - self.shift) / self.scale
        taps = []
        for conv, layer in zip(self.convs, LAYERS[self.net], strict=True):
            if layer.pool:
                x = F.max_pool2d(x, layer.pool, stride=2)
            x = F.relu(conv(x))
            if layer.tap:
                # In float32 also under autocast: a sum of squares over 512 channels overflows half precision
                y = x.float()
                # Where all channels are 0 the root has no derivative: the tiny term keeps 0/0 out of it
                norm = torch.sqrt(y.square().sum(dim=1, keepdim=True) + 1e-24)
                taps.append(y / (norm + 1e-10))
        return taps

    def forward(self, a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B"]:
        """The distance of each pair of images in [-1, 1], 0 for identical ones; differentiable."""
        if a.shape != b.shape:
            raise ConfigError(
                f"images of shape {tuple(a.shape)} and {tuple(b.shape)}: give two batches of one shape"
            )
        return self.feature_distance(self._recorded(a), self._recorded(b))

    def feature_distance(self, a: list[Tensor], b: list[Tensor]) -> Float[Tensor, "B"]:
        """The distance of pictures whose `features` these are."""
        distance = torch.zeros(a[0].shape[0], device=a[0].device)
        for at_a, at_b, head in zip(a, b, self.heads, strict=True):
            weighted = (at_a - at_b).square() * head.view(1, -1, 1, 1)
            distance = distance + weighted.sum(dim=1).mean(dim=(1, 2))
        return distance

    def _recorded(self, images: Tensor) -> list[Tensor]:
        with torch.set_grad_enabled(images.requires_grad and torch.is_grad_enabled()):
            return self.features(images)
