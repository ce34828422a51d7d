"""Inception-v3 features: the (N, 2048) rows that FID, KID and P-IDS compare.

The network is the TensorFlow one of Szegedy et al. (2015) that FID was defined with, stated here in our own
modules; it differs from other Inception-v3 files in weights and in the pooling of its last blocks. Three
conventions belong to it and change FID by several points if missed: images are resized to 299 x 299
bilinearly with TensorFlow 1's corner origin (source = target * scale, no half-pixel shift, no smoothing),
stay floats afterwards, and enter as (x - 128)/128.

Features are most of an evaluation's time. The normalisation is folded into the convolution before it, and
channels lie last in memory: twice as fast on a CPU, the same features to 1e-5.
"""

import os
from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from maskmend.perceptual.frozen import load_frozen
from maskmend.perceptual.weights import locate

SIDE = 299
EPSILON = 1e-3


class Conv(nn.Module):
    """Convolution, normalisation by fixed statistics (no scale), ReLU. A 1 x 7 kernel is given as (1, 7)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, *, pad: bool = True
    ):
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.stride = stride
        self.padding = (height // 2, width // 2) if pad else (0, 0)
        self.weight = nn.Parameter(
            torch.randn(outputs, inputs, height, width) / (inputs * height * width) ** 0.5
        )
        self.beta = nn.Parameter(torch.zeros(outputs))
        self.mean = nn.Parameter(torch.zeros(outputs))
        self.var = nn.Parameter(torch.ones(outputs))
        self.folded: tuple[Tensor, Tensor] | None = None

    def fold(self) -> None:
        """Joins the normalisation with the weights as they are now."""
        scale = (self.var.double() + EPSILON).rsqrt()
        weight = (self.weight.double() * scale[:, None, None, None]).float()
        bias = (self.beta.double() - self.mean.double() * scale).float()
        self.folded = weight.contiguous(memory_format=torch.channels_last), bias

    def forward(self, x: Tensor) -> Tensor:
        if self.folded is None or self.folded[0].device != x.device:
            self.fold()
        assert self.folded is not None
        weight, bias = self.folded
        return F.relu_(F.conv2d(x, weight, bias, stride=self.stride, padding=self.padding))


def _max_pool(*, stride: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride, padding=1 if stride == 1 else 0)


def _average_pool() -> nn.AvgPool2d:
    # TensorFlow does not count the padding into the mean
    return nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)


def _tower(inputs: int, *steps: tuple[int, int | tuple[int, int]], last_stride: int = 1) -> nn.Sequential:
    """A chain of convolutions (outputs, kernel); a strided last one is not padded."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (outputs, kernel) in enumerate(steps):
        stride = last_stride if index == len(steps) - 1 else 1
        layers["conv" if index == 0 else f"conv_{index}"] = Conv(
            inputs, outputs, kernel, stride, pad=stride == 1
        )
        inputs = outputs
    return nn.Sequential(layers)


def _pooled(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(pool=_average_pool(), conv=Conv(inputs, outputs, 1)))


class Branches(nn.Module):
    """Named branches side by side, their outputs concatenated over the channels in the order given."""

    def __init__(self, **branches: nn.Module):
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], dim=1)


def _block_35(inputs: int, pooled: int) -> Branches:
    return Branches(
        conv=Conv(inputs, 64, 1),
        tower=_tower(inputs, (48, 1), (64, 5)),
        tower_1=_tower(inputs, (64, 1), (96, 3), (96, 3)),
        tower_2=_pooled(inputs, pooled),
    )


def _block_17(inner: int) -> Branches:
    return Branches(
        conv=Conv(768, 192, 1),
        tower=_tower(768, (inner, 1), (inner, (1, 7)), (192, (7, 1))),
        tower_1=_tower(768, (inner, 1), (inner, (7, 1)), (inner, (1, 7)), (inner, (7, 1)), (192, (1, 7))),
        tower_2=_pooled(768, 192),
    )


class Block8(nn.Module):
    """The widest blocks: two of the branches split once more, into 1 x 3 and 3 x 1."""

    def __init__(self, inputs: int, pool: nn.Module):
        super().__init__()
        self.conv = Conv(inputs, 320, 1)
        self.tower_conv = Conv(inputs, 384, 1)
        self.tower_mixed_conv = Conv(384, 384, (1, 3))
        self.tower_mixed_conv_1 = Conv(384, 384, (3, 1))
        self.tower_1_conv = Conv(inputs, 448, 1)
        self.tower_1_conv_1 = Conv(448, 384, 3)
        self.tower_1_mixed_conv = Conv(384, 384, (1, 3))
        self.tower_1_mixed_conv_1 = Conv(384, 384, (3, 1))
        self.tower_2_pool = pool
        self.tower_2_conv = Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = self.tower_conv(x)
        far = self.tower_1_conv_1(self.tower_1_conv(x))
        return torch.cat(
            [
                self.conv(x),
                self.tower_mixed_conv(near),
                self.tower_mixed_conv_1(near),
                self.tower_1_mixed_conv(far),
                self.tower_1_mixed_conv_1(far),
                self.tower_2_conv(self.tower_2_pool(x)),
            ],
            dim=1,
        )


class Inception(nn.Sequential):
    """From uint8 images of any size to (B, 2048) features; names follow the published file. Frozen."""

    def __init__(self) -> None:
        layers: dict[str, nn.Module] = {
            "conv": Conv(3, 32, 3, 2, pad=False),
            "conv_1": Conv(32, 32, 3, pad=False),
            "conv_2": Conv(32, 64, 3),
            "pool0": _max_pool(stride=2),
            "conv_3": Conv(64, 80, 1),
            "conv_4": Conv(80, 192, 3, pad=False),
            "pool1": _max_pool(stride=2),
            "mixed": _block_35(192, 32),
            "mixed_1": _block_35(256, 64),
            "mixed_2": _block_35(288, 64),
            "mixed_3": Branches(
                conv=Conv(288, 384, 3, 2, pad=False),
                tower=_tower(288, (64, 1), (96, 3), (96, 3), last_stride=2),
                pool=_max_pool(stride=2),
            ),
            "mixed_4": _block_17(128),
            "mixed_5": _block_17(160),
            "mixed_6": _block_17(160),
            "mixed_7": _block_17(192),
            "mixed_8": Branches(
                tower=_tower(768, (192, 1), (320, 3), last_stride=2),
                tower_1=_tower(768, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3), last_stride=2),
                pool=_max_pool(stride=2),
            ),
            "mixed_9": Block8(1280, _average_pool()),
            # The published FID network pools by maximum here, unlike the paper's
            "mixed_10": Block8(2048, _max_pool(stride=1)),
        }
        super().__init__(OrderedDict(layers))
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def load(
        cls, path: str | os.PathLike[str] | None = None, device: str | torch.device = "cpu"
    ) -> "Inception":
        """The published network from the cache or from `path`; WeightsError if absent or not that network."""
        file = locate("inception", path)
        network = cls()
        load_frozen(network, file, "the Inception weights")
        return network.to(device)

    @torch.inference_mode()
    def forward(self, input: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2048"]:
        x = (resize_corner(input.float(), SIDE) - 128) / 128
        x = x.contiguous(memory_format=torch.channels_last)
        return super().forward(x).mean(dim=(2, 3))

    def features(self, images: UInt8[np.ndarray, "B H W 3"]) -> Float[np.ndarray, "B 2048"]:
        """A `features.FeatureFunction`: NumPy in, NumPy out, on whatever device the network is."""
        batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        return self(batch.to(next(self.parameters()).device)).cpu().numpy()


def resize_corner(images: Float[Tensor, "B C H W"], side: int) -> Float[Tensor, "B C S S"]:
    """Bilinear resize as TensorFlow 1 did it: target pixel i reads position i * size / side."""

    def weights(size: int) -> Tensor:
        position = torch.arange(side, dtype=torch.float64) * (size / side)
        left = position.floor().long().clamp(max=size - 1)
        share = (position - left).clamp(max=1)
        matrix = torch.zeros(side, size, dtype=torch.float64)
        rows = torch.arange(side)
        matrix[rows, left] += 1 - share
        matrix[rows, (left + 1).clamp(max=size - 1)] += share
        return matrix.to(images)

    height, width = images.shape[-2:]
    if (height, width) == (side, side):
        return images
    return weights(height) @ images @ weights(width).T
