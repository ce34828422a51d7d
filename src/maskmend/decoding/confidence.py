"""Which predictions a step keeps: the score of each masked token's code (MaskGIT, section 3.2).

    score = confidence + noise * (1 - t/T) * Gumbel      order "confidence"; log p(code), or p(code)
    score = a number fixed before the first step         orders "random" and "halton" (`orders`)

The Gumbel noise is annealed to 0 at the last step T.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskmend.decoding.loop import Score
from maskmend.decoding.noise import Stream, slot_noise
from maskmend.decoding.orders import halton_rank, random_score
from maskmend.settings import Settings


def score_function(
    settings: Settings,
    seed: Int[Tensor, "B"],
    hole: Bool[Tensor, "B N"],
    taken: int,
    grid: tuple[int, int] | None,
) -> Score:
    """The score by `order`, `confidence` and `noise` of the settings.

    Args:
        settings: as for `decode`.
        seed: of each image.
        hole: True at tokens to be filled.
        taken: number of steps that will be taken, at most `settings.steps`.
        grid: height and width of the token grid, for order "halton".
    """
    if settings.order != "confidence":
        if grid is not None and settings.order == "halton":
            fixed = -halton_rank(*grid).to(hole.device).float().expand_as(hole)
        else:
            fixed = random_score(seed, hole.shape[1])
        of_slot = fixed[hole]
        return lambda t, slots, log_p: of_slot[slots]

    noise = confidence_noise(settings, seed, hole, taken) if settings.noise > 0 else None

    def score(t: int, slots: Int[Tensor, "S"], log_p: Float[Tensor, "S"]) -> Float[Tensor, "S"]:
        confidence = log_p if settings.confidence == "log_probability" else log_p.exp()
        return confidence if noise is None else confidence + noise[t, slots]

    return score


def confidence_noise(
    settings: Settings, seed: Int[Tensor, "B"], hole: Bool[Tensor, "B N"], taken: int
) -> Float[Tensor, "T S"]:
    """Gumbel noise times `noise` * (1 - t/T), for each step taken and each token of the holes."""
    weights = [[settings.noise * (1 - t / settings.steps)] for t in range(1, taken + 1)]
    weight = torch.tensor(weights, dtype=torch.float32, device=hole.device)
    return slot_noise(Stream.CONFIDENCE, seed, hole, taken).gumbels() * weight
