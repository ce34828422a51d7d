"""Discriminators and their hinge loss (Lim & Ye 2017).

    loss_D = 1/2 (mean relu(1 - D(x)) + mean relu(1 + D(x^)))        loss_G = -mean D(x^)

PatchGAN (Isola et al. 2017) classifies patches of pixels; the other classifies features of a pretrained
network, as in projected GANs (Sauer et al. 2021), which need not be learnt from a small training set.
GroupNorm instead of BatchNorm: a logit must not depend on the other images of the batch.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskmend.errors import ConfigError


class PatchDiscriminator(nn.Module):
    """(B, 3, H, W) to one logit for each overlapping patch.

    Args:
        channels: width of the first convolution, a multiple of 4; later ones are up to 8 times as wide.
        layers: convolutions between the first and the last; all but the last of them halve the resolution.
    """

    def __init__(self, channels: int = 64, layers: int = 2) -> None:
        super().__init__()
        if channels < 4 or channels % 4 or layers < 0:
            raise ConfigError(
                f"discriminator_channels={channels}, discriminator_layers={layers}: "
                "choose a multiple of 4 channels and 0 or more layers"
            )
        blocks: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        width = channels
        for layer in range(1, layers + 1):
            out_channels = min(width * 2, channels * 8)
            stride = 1 if layer == layers else 2
            blocks += [
                nn.Conv2d(width, out_channels, 4, stride=stride, padding=1, bias=False),
                nn.GroupNorm(8, out_channels),
                nn.LeakyReLU(0.2),
            ]
            width = out_channels
        blocks.append(nn.Conv2d(width, 1, 4, padding=1))
        self.layers = nn.Sequential(*blocks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 p q"]:
        return self.layers(images)


class FeatureDiscriminator(nn.Module):
    """Features of several layers, unit length at each position, to logits of overlapping patches of each.

    Args:
        widths: channels of each layer's features.
        channels: of the head on each layer, a multiple of 8.
    """

    def __init__(self, widths: Sequence[int], channels: int = 48) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, channels, 1, bias=False),
                nn.GroupNorm(8, channels),
                nn.LeakyReLU(0.2),
                nn.Conv2d(channels, channels, 4, stride=2, padding=1, bias=False),
                nn.GroupNorm(8, channels),
                nn.LeakyReLU(0.2),
                nn.Conv2d(channels, 1, 1),
            )
            for width in widths
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Sequence[Float[Tensor, "B _ _ _"]]) -> list[Float[Tensor, "B 1 _ _"]]:
        return [head(x * x.shape[1] ** 0.5) for head, x in zip(self.heads, features, strict=True)]


def hinge_loss(real: Float[Tensor, "..."], fake: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """The discriminator's loss: 0 where logits of real patches are above 1 and of generated ones below -1."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
