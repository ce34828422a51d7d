"""Discriminators and their hinge loss (Lim & Ye 2017).

    loss_D = 1/2 (mean relu(1 - D(x)) + mean relu(1 + D(x^)))        loss_G = -mean D(x^)

PatchGAN (Isola et al. 2017) judges pixels; the other judges what a network trained on photographs makes of
them, as projected GANs do (Sauer et al. 2021): it need not learn from a small set of pictures what fur looks
like. Each output judges one patch, not the whole picture. GroupNorm instead of BatchNorm: a judgement must
not depend on the other pictures of the batch.
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
            outer = min(width * 2, channels * 8)
            stride = 1 if layer == layers else 2
            blocks += [
                nn.Conv2d(width, outer, 4, stride=stride, padding=1, bias=False),
                nn.GroupNorm(8, outer),
                nn.LeakyReLU(0.2),
            ]
            width = outer
        blocks.append(nn.Conv2d(width, 1, 4, padding=1))
        self.layers = nn.Sequential(*blocks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 p q"]:
        return self.layers(images)


class FeatureDiscriminator(nn.Module):
    """Activations of several layers, unit length at each place, to logits of overlapping patches of each.

    Args:
        widths: channels of each layer.
        channels: of the judgement about each layer, a multiple of 8.
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

    def forward(self, taps: Sequence[Float[Tensor, "B _ _ _"]]) -> list[Float[Tensor, "B 1 _ _"]]:
        return [head(tap * tap.shape[1] ** 0.5) for head, tap in zip(self.heads, taps, strict=True)]


def hinge_loss(real: Float[Tensor, "..."], fake: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """The discriminator's loss: real patches above 1, generated ones below -1."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
