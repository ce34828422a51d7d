"""A light branch that shows the known pixels to the decoder, at each of its resolutions.

    picture, hole filled smoothly (3) + mask (1) ─ conv ─ block ─► full ─ halve, block ─► ... ─► latent
                                                                     └────── 1x1 ──────────────┴──► decoder

A token says what its cell roughly looks like; the pixels around a hole say exactly how a whisker enters it.
As in PUT (Liu et al. 2022) and the asymmetric VQGAN (Zhu et al. 2023) the decoder gets both. Ours differs in
the merge: each 1x1 convolution starts at zero and is added, so a trained decoder is at first what it was, and
learns from there what the pixels are good for. Nothing from inside the hole is in the picture it sees.
"""

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskmend.models.blocks import ResidualBlock


class Known(NamedTuple):
    """What is known of a picture: R x R pixels."""

    image: Float[Tensor, "B 3 R R"]
    """In [-1, 1], its hole filled in from the surroundings (`infill`)."""
    mask: Bool[Tensor, "B 1 R R"]
    """True at the hole."""
    guess: Bool[Tensor, "B 1 R R"] | None = None
    """True where the hole holds a guess of its content (a coarser fill, enlarged, or a sketch) instead of a
    smooth infill; None: nowhere."""


def nothing_known(batch: int, height: int, width: int, device: torch.device) -> Known:
    """The grey picture that is all hole: what a decoder sees that has tokens only."""
    image = torch.zeros(batch, 3, height, width, device=device)
    return Known(image, torch.ones(batch, 1, height, width, dtype=torch.bool, device=device))


class KnownBranch(nn.Module):
    """Features of the known pixels for each resolution of the decoder.

    Args:
        channels: of the branch, from the full resolution down.
        widths: of the decoder where each feature is added, likewise.
        guesses: one more channel tells a guess of the hole's content from a smooth infill.
    """

    def __init__(self, channels: tuple[int, ...], widths: tuple[int, ...], guesses: bool = False) -> None:
        super().__init__()
        self.guesses = guesses
        self.enter = nn.Conv2d(4 + guesses, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(width, width, "group") for width in channels)
        self.halvings = nn.ModuleList(
            nn.Conv2d(inner, outer, 3, stride=2, padding=1) for inner, outer in itertools.pairwise(channels)
        )
        self.merges = nn.ModuleList(
            nn.Conv2d(channel, width, 1) for channel, width in zip(channels, widths, strict=True)
        )
        for merge in self.merges:
            nn.init.zeros_(merge.weight)  # type: ignore[arg-type]
            nn.init.zeros_(merge.bias)  # type: ignore[arg-type]

    def forward(self, known: Known) -> list[Float[Tensor, "B _ _ _"]]:
        """What is added to the decoder, from the latent resolution up."""
        seen = [known.image, known.mask.to(known.image.dtype)]
        if self.guesses:
            guess = torch.zeros_like(known.mask) if known.guess is None else known.guess
            seen.append(guess.to(known.image.dtype))
        x = self.enter(torch.cat(seen, dim=1))
        features = []
        for level, block in enumerate(self.blocks):
            if level:
                x = self.halvings[level - 1](F.silu(x))
            x = block(x)
            features.append(self.merges[level](x))
        return features[::-1]
