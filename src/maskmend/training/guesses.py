"""Guesses for training, which imitate the upsampled fill of a coarser level.

    image ─ downscale ─► tokenizer, conditioned on the known pixels ─► upscale ─► guess, in the hole only

In inference a wide hole is filled at a coarse scale first, and each finer scale starts from that fill
upsampled (`fill.levels`). A coarse fill is an output of the decoder, so guesses are reconstructions by the
tokenizer at the coarse size; a share of them is only blurred, more strongly, like a coarse fill without
detail.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from maskmend.images.infill import infill
from maskmend.models.known_encoder import KnownPixels
from maskmend.models.vqgan import VQGAN

COARSE_SIZES = (0.375, 0.5, 0.5, 0.625)
"""Sizes of the coarse image relative to the fine one, equally likely."""
BLURRED = 0.2
"""Share of guesses that are blurred instead of passed through the tokenizer."""


def pass_over(rng: np.random.Generator) -> None:
    """Draws what `make_guesses` would: for a process without a guess, while others have some."""
    rng.choice(COARSE_SIZES)
    rng.random()


@torch.no_grad()
def make_guesses(
    images: Float[Tensor, "B 3 R R"],
    masks: Bool[Tensor, "B 1 R R"],
    tokenizer: VQGAN,
    rng: np.random.Generator,
) -> Float[Tensor, "B 3 R R"]:
    """`images` with guesses of themselves in their holes (mask True); known pixels unchanged, in [-1, 1]."""
    factor, side = tokenizer.config.factor, images.shape[-1]
    small = max(factor, round(side * float(rng.choice(COARSE_SIZES)) / factor) * factor)
    coarse = F.interpolate(images, (small, small), mode="bicubic", antialias=True).clamp(-1, 1)
    if rng.random() < BLURRED:
        tiny = F.interpolate(coarse, scale_factor=0.5, mode="bicubic", antialias=True)
        coarse = F.interpolate(tiny, (small, small), mode="bilinear")
    else:
        hole = F.adaptive_max_pool2d(masks.float(), small) > 0
        known = KnownPixels(infill(coarse, hole, "diffusion"), hole)
        coarse = torch.where(hole, tokenizer.decode(tokenizer.encode(coarse), known), coarse)
    guess = F.interpolate(coarse, (side, side), mode="bicubic").clamp(-1, 1)
    return torch.where(masks, guess, images)
