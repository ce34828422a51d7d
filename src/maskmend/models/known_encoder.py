"""A small encoder of the known pixels, whose features condition the decoder at each of its resolutions.

    image, hole infilled (3) + mask (1) ─ conv ─ block ─► full ─ downsample, block ─► ... ─► latent
                                                           └───── zero-initialised 1x1 ──────┴──► decoder

A token describes its cell only roughly, while the pixels around a hole show exactly where a line enters it.
As in PUT (Liu et al. 2022) and the asymmetric VQGAN (Zhu et al. 2023) the decoder is conditioned on both.
What we do differently: the features are added through 1x1 convolutions that start at zero (as in ControlNet,
Zhang et al. 2023), so training starts from the unconditioned decoder. The input contains nothing from inside
the hole.
"""

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskmend.models.blocks import ResidualBlock


class KnownPixels(NamedTuple):
    """The known pixels of an image of R x R."""

    image: Float[Tensor, "B 3 R R"]
    """In [-1, 1], the hole infilled from its surroundings (`images.infill`)."""
    mask: Bool[Tensor, "B 1 R R"]
    """True at the hole."""
    guess: Bool[Tensor, "B 1 R R"] | None = None
    """True where the hole holds a guess of its content (an upsampled coarser fill, or a sketch) instead of a
    smooth infill; None: nowhere."""


def no_known_pixels(batch: int, height: int, width: int, device: torch.device) -> KnownPixels:
    """A grey image that is all hole: the condition of a decoder that is given tokens only."""
    image = torch.zeros(batch, 3, height, width, device=device)
    return KnownPixels(image, torch.ones(batch, 1, height, width, dtype=torch.bool, device=device))


class KnownEncoder(nn.Module):
    """Features of the known pixels for each resolution of the decoder.

    Args:
        channels: of the encoder, from the full resolution down.
        decoder_channels: of the decoder where each feature map is added, in the same order.
        guesses: one more input channel marks guesses of the hole's content.
    """

    def __init__(
        self, channels: tuple[int, ...], decoder_channels: tuple[int, ...], guesses: bool = False
    ) -> None:
        super().__init__()
        self.guesses = guesses
        self.conv_in = nn.Conv2d(4 + guesses, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(width, width, "group") for width in channels)
        self.downsamples = nn.ModuleList(
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
            for in_channels, out_channels in itertools.pairwise(channels)
        )
        self.zero_convs = nn.ModuleList(
            nn.Conv2d(channel, width, 1) for channel, width in zip(channels, decoder_channels, strict=True)
        )
        for conv in self.zero_convs:
            nn.init.zeros_(conv.weight)  # type: ignore[arg-type]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, known: KnownPixels) -> list[Float[Tensor, "B _ _ _"]]:
        """What is added to the decoder's activations, from the latent resolution up."""
        inputs = [known.image, known.mask.to(known.image.dtype)]
        if self.guesses:
            guess = torch.zeros_like(known.mask) if known.guess is None else known.guess
            inputs.append(guess.to(known.image.dtype))
        x = self.conv_in(torch.cat(inputs, dim=1))
        features = []
        for level, block in enumerate(self.blocks):
            if level:
                x = self.downsamples[level - 1](F.silu(x))
            x = block(x)
            features.append(self.zero_convs[level](x))
        return features[::-1]
