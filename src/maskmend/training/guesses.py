"""Guesses for training: what a coarser fill, enlarged, looks like.

    true picture ─ shrink ─► tokenizer, conditioned on the known pixels ─► enlarge ─► guess, in the hole alone

In use a wide hole is filled at a coarse scale first, and each finer scale starts from that fill enlarged
(`levels`). A coarse fill is a picture from the decoder, so the guess passes through the tokenizer at its own
size; a part of the guesses is only blurred, more strongly, as where a coarse fill turned out soft.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from maskmend.images.infill import infill
from maskmend.models.known_encoder import Known
from maskmend.models.vqgan import VQGAN

SHRUNK = (0.375, 0.5, 0.5, 0.625)
"""Sizes of the coarser picture, as shares of the finer one's; drawn evenly."""
SOFT = 0.2
"""Share of guesses that are blurred instead of passed through the tokenizer."""


@torch.no_grad()
def make_guesses(
    images: Float[Tensor, "B 3 R R"],
    masks: Bool[Tensor, "B 1 R R"],
    tokenizer: VQGAN,
    rng: np.random.Generator,
) -> Float[Tensor, "B 3 R R"]:
    """`images` with guesses of themselves in their holes (mask True); known pixels unchanged, in [-1, 1]."""
    factor, side = tokenizer.config.factor, images.shape[-1]
    small = max(factor, round(side * float(rng.choice(SHRUNK)) / factor) * factor)
    shrunk = F.interpolate(images, (small, small), mode="bicubic", antialias=True).clamp(-1, 1)
    if rng.random() < SOFT:
        tiny = F.interpolate(shrunk, scale_factor=0.5, mode="bicubic", antialias=True)
        shrunk = F.interpolate(tiny, (small, small), mode="bilinear")
    else:
        hole = F.adaptive_max_pool2d(masks.float(), small) > 0
        known = Known(infill(shrunk, hole, "diffusion"), hole)
        shrunk = torch.where(hole, tokenizer.decode(tokenizer.encode(shrunk), known), shrunk)
    guess = F.interpolate(shrunk, (side, side), mode="bicubic").clamp(-1, 1)
    return torch.where(masks, guess, images)
