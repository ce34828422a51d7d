"""Colour at a lower resolution than brightness, as JPEG stores it (`TokenizerConfig.colour_blur`)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ColourBlur(nn.Module):
    """A Gaussian blur of the differences from the brightness (ITU-R BT.601), which stays as it is."""

    brightness: Tensor
    kernel: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.reach = math.ceil(3 * sigma)
        places = torch.arange(-self.reach, self.reach + 1)
        kernel = torch.exp(-0.5 * (places / sigma).square())
        # Constants of the method, not weights: they are in no file.
        self.register_buffer("kernel", (kernel / kernel.sum()).expand(3, 1, 1, -1), persistent=False)
        self.register_buffer(
            "brightness", torch.tensor([0.299, 0.587, 0.114])[:, None, None], persistent=False
        )

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        grey = (images * self.brightness).sum(1, keepdim=True)
        colour = F.pad(images - grey, [self.reach] * 4, mode="replicate")
        kernel = self.kernel.to(images.dtype)
        colour = F.conv2d(F.conv2d(colour, kernel, groups=3), kernel.transpose(2, 3), groups=3)
        return grey + colour
