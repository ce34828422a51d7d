"""Which predictions a step keeps: the score of each masked token's code (MaskGIT, section 3.2).

    confidence_score    confidence + noise * (1 - t/T) * Gumbel; confidence is log p(code) or p(code)
    random_score        a number fixed before the first step, drawn from the image's seed
    halton_score        a number fixed before the first step, from the Halton sequence (`orders`)

The Gumbel noise is annealed to 0 at the last step T.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskmend.decoding.loop import Score
from maskmend.decoding.noise import Stream, slot_noise
from maskmend.decoding.orders import halton_rank, random_priority


def confidence_score(noise: Float[Tensor, "T S"] | None, *, probability: bool = False) -> Score:
    """The model's confidence in each code, plus noise.

    Args:
        noise: for each step taken and each token of the holes, as from `confidence_noise`; None adds none.
        probability: the confidence is p(code) instead of log p(code).
    """

    def score(t: int, slots: Int[Tensor, "S"], log_p: Float[Tensor, "S"]) -> Float[Tensor, "S"]:
        confidence = log_p.exp() if probability else log_p
        return confidence if noise is None else confidence + noise[t, slots]

    return score


def random_score(seed: Int[Tensor, "B"], hole: Bool[Tensor, "B N"]) -> Score:
    """A random order of each image's tokens, whatever the model predicts."""
    return _fixed(random_priority(seed, hole.shape[1])[hole])


def halton_score(grid: tuple[int, int], hole: Bool[Tensor, "B N"]) -> Score:
    """The order of the Halton sequence on a grid of (height, width) tokens, whatever the model predicts."""
    return _fixed(-halton_rank(*grid).to(hole.device).float().expand_as(hole)[hole])


def _fixed(of_slot: Float[Tensor, "S"]) -> Score:
    return lambda t, slots, log_p: of_slot[slots]


def confidence_noise(
    weight: float, steps: int, seed: Int[Tensor, "B"], hole: Bool[Tensor, "B N"], taken: int
) -> Float[Tensor, "T S"]:
    """Gumbel noise times weight * (1 - t/T), for each step taken and each token of the holes.

    Args:
        weight: of the noise before the first step.
        steps: T, over which it is annealed.
        seed: of each image.
        hole: True at tokens to be filled.
        taken: number of steps that will be taken, at most `steps`.
    """
    weights = [[weight * (1 - t / steps)] for t in range(1, taken + 1)]
    scale = torch.tensor(weights, dtype=torch.float32, device=hole.device)
    return slot_noise(Stream.CONFIDENCE, seed, hole, taken).gumbels() * scale
