"""The convolutional blocks of the encoder, the decoder and the encoder of known pixels.

Residual blocks norm-SiLU-conv twice, attention over the positions of a feature map, down- and upsampling.
The norm is GroupNorm, or `position`: each position over its channels alone, which keeps features local.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskmend.models.attention import MultiHeadAttention


class PositionNorm(nn.Module):
    """Normalises each position of (B, C, H, W) over its channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, eps=1e-6)
        return y.permute(0, 3, 1, 2)


def groups(channels: int) -> int:
    """Groups of a GroupNorm over `channels`: 32, fewer where a group would have less than 4 channels."""
    return min(32, channels // 4)


def normalisation(kind: str, channels: int) -> nn.Module:
    if kind == "position":
        return PositionNorm(channels)
    return nn.GroupNorm(32 if kind == "32 groups" else groups(channels), channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))); a 1x1 convolution on the skip when the width changes."""

    def __init__(self, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__()
        self.norm1 = normalisation(norm, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = normalisation(norm, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H W"]:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return self.skip(x) + y


class AttentionBlock(nn.Module):
    """Residual multi-head attention over the positions of a feature map."""

    def __init__(self, channels: int, heads: int, norm: str) -> None:
        super().__init__()
        self.norm = normalisation(norm, channels)
        self.attention = MultiHeadAttention(channels, heads)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # (B, H*W, C)
        return x + self.attention(tokens).transpose(1, 2).unflatten(2, x.shape[2:])


def middle(channels: int, heads: int, norm: str, attention: bool = True) -> nn.Sequential:
    """Two residual blocks around attention, at the latent resolution; `attention` False: the two alone."""
    blocks: list[nn.Module] = [ResidualBlock(channels, channels, norm)]
    if attention:
        blocks.append(AttentionBlock(channels, heads, norm))
    return nn.Sequential(*blocks, ResidualBlock(channels, channels, norm))


class Downsample(nn.Module):
    """Downsampling by a strided convolution padded at the right and bottom only (design "coursework")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H2 W2"]:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Nearest-neighbour upsampling by 2, then a convolution that may change the width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C2 H2 W2"]:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
