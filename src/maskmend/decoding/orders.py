"""Orders of the hole tokens that are fixed before the first step, and the n best tokens of each image.

`confidence` makes scores of the orders. The Halton order spreads each step's tokens evenly over the grid, so
that tokens filled together are far apart and nearly independent (Besnier et al. 2025, "Halton scheduler for
masked generative image transformer").
"""

from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskmend.decoding.noise import Stream, uniform


def _radical_inverse(indices: Int[Tensor, "M"], base: int, digits: int) -> Int[Tensor, "M"]:
    # The reversed digits of each index, as a numerator over base^digits: no rounding at cell borders.
    reverse = torch.zeros_like(indices)
    for _ in range(digits):
        reverse = reverse * base + indices % base
        indices = indices // base
    return reverse


def _digits(base: int, at_least: int) -> int:
    digits = 0
    while base**digits < at_least:
        digits += 1
    return digits


@lru_cache(maxsize=32)
def halton_rank(height: int, width: int) -> Int[Tensor, "N"]:
    """The order in which the Halton sequence (base 2 down, base 3 across) first visits the cells of a grid.

    Ranks 0 to N - 1 of the cells in row-major order, N = height * width; a cached CPU tensor, read-only.
    """
    # A cell's side of 1/height holds a whole interval of length 2^-a once 2^a >= 2 * height; likewise 3^b for
    # the width. Any 2^a 3^b successive points visit each pair of such intervals once, hence every cell.
    points = 2 ** _digits(2, 2 * height) * 3 ** _digits(3, 2 * width)
    index = torch.arange(1, points + 1)
    down, across = _digits(2, points + 1), _digits(3, points + 1)
    row = _radical_inverse(index, 2, down) * height // 2**down
    column = _radical_inverse(index, 3, across) * width // 3**across
    first = torch.full((height * width,), points).scatter_reduce(0, row * width + column, index, "amin")
    return first.argsort().argsort()


def random_priority(seeds: Int[Tensor, "B"], tokens: int) -> Float[Tensor, "B {tokens}"]:
    """A number in (0, 1) for each token, drawn from its image's seed: the highest is filled first."""
    position = torch.arange(tokens, device=seeds.device).repeat(len(seeds))
    priority = uniform(seeds.repeat_interleave(tokens), 0, position, 1, stream=Stream.ORDER)
    return priority.view(len(seeds), tokens)


def top_n_mask(
    score: Float[Tensor, "B N"], masked: Bool[Tensor, "B N"], count: Int[Tensor, "B"]
) -> Bool[Tensor, "B N"]:
    """True at the `count` masked tokens of highest score in each image, the first of equals; never at others.

    `count` is at most the number of masked tokens of its image.
    """
    # Unmasked tokens sort last: a masked one's score of -inf is lifted to the lowest finite number.
    score = score.clamp(min=torch.finfo(score.dtype).min).masked_fill(~masked, -torch.inf)
    order = score.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(score.shape[1], device=score.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, place)
    return (rank < count[:, None]) & masked
