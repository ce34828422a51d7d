"""Features of an image classifier: EfficientNet-Lite0 (Tan & Le 2019; Lite: Google 2020).

    block(x) = project(relu6(depthwise(relu6(expand(x)))))  [+ x where the shapes agree]

The published network up to its last block. Batch norms are folded into the convolutions when the weights are
fetched, so a layer is a convolution and a clamp. The discriminators of projected GANs (Sauer et al. 2021)
classify this network's activations at four resolutions, and so does one of our decoder's. It is not the
network behind FID or LPIPS. Parameters are frozen.
"""

import os
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskmend.perceptual.frozen import load_frozen
from maskmend.perceptual.weights import locate


class Stage(NamedTuple):
    """Blocks of one width; the first of them changes width and resolution."""

    kernel: int
    stride: int
    expansion: int
    width: int
    blocks: int
    tap: bool = False
    """Whether its output is one of the features."""


STEM = 32
STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2, tap=True),
    Stage(5, 2, 6, 40, 2, tap=True),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3, tap=True),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1, tap=True),
)
SMALLEST = 128
"""Smaller pictures are enlarged to this side: of 64 pixels the last blocks would have 2 x 2 positions."""


class SameConvolution(nn.Conv2d):
    """A convolution padded as TensorFlow does, where the weights come from: an odd pixel goes to the end."""

    def forward(self, input: Float[Tensor, "B _ H W"]) -> Float[Tensor, "B _ h w"]:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        sides: list[int] = []
        for side in (input.shape[3], input.shape[2]):
            missing = max(0, (-(-side // stride) - 1) * stride + kernel - side)
            sides += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(input, sides))


class Block(nn.Module):
    """Inverted residual bottleneck (Sandler et al. 2018)."""

    def __init__(self, stage: Stage, width: int, stride: int) -> None:
        super().__init__()
        inner = width * stage.expansion
        self.expand = SameConvolution(width, inner, 1) if stage.expansion > 1 else None
        self.depthwise = SameConvolution(inner, inner, stage.kernel, stride, groups=inner)
        self.project = SameConvolution(inner, stage.width, 1)
        self.keeps_shape = stride == 1 and width == stage.width

    def forward(self, x: Float[Tensor, "B _ H W"]) -> Float[Tensor, "B _ h w"]:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.keeps_shape else y


class EfficientNet(nn.Module):
    """Frozen; random weights until a state is loaded (`load`)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConvolution(3, STEM, 3, stride=2)
        blocks, width = [], STEM
        self.taps: list[int] = []
        """The blocks whose outputs are the features."""
        for stage in STAGES:
            for number in range(stage.blocks):
                blocks.append(Block(stage, width, stage.stride if number == 0 else 1))
                width = stage.width
            if stage.tap:
                self.taps.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> "EfficientNet":
        """The published network: from the cache, or from `path`. WeightsError if the weights are absent or
        others."""
        file, network = locate("efficientnet-lite0", path), cls()
        load_frozen(network, file, "the weights of EfficientNet-Lite0")
        return network

    @property
    def widths(self) -> list[int]:
        """Channels of each of `features`."""
        return [stage.width for stage in STAGES if stage.tap]

    def features(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Four activations (B, C, h, w) of images in [-1, 1], at a quarter to a 32nd of the resolution."""
        scale = SMALLEST / min(images.shape[-2:])
        if scale > 1:
            images = F.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)
        found = []
        # Not under autocast: on CPUs the way back through depthwise convolutions takes twice as long in bf16
        with torch.autocast(images.device.type, enabled=False):
            x = F.relu6(self.stem(images.float().contiguous(memory_format=torch.channels_last)))
            for number, block in enumerate(self.blocks):
                x = block(x)
                if number in self.taps:
                    found.append(x)
        return found

    def feature_distance(self, a: list[Tensor], b: list[Tensor]) -> Float[Tensor, "B"]:
        """The distance of pictures whose `features` these are: 0 to 4, mean over the layers and places of the
        squared distance of the activations' unit vectors."""
        distances = []
        for at_a, at_b in zip(a, b, strict=True):
            first, second = (F.normalize(at, dim=1, eps=1e-3) for at in (at_a, at_b))
            distances.append((first - second).square().sum(dim=1).mean(dim=(1, 2)))
        return torch.stack(distances).mean(dim=0)
