"""Iterative decoding of masked tokens: the loop of MaskGIT (Chang et al. 2022, section 3.2).

    logits = predict(tokens, masked)         for all tokens still masked, in parallel
    codes  = sample(logits)                  one code each
    keep   = the n_keep[t] codes of highest score; the others are masked again

How many tokens each step keeps (`mask_counts`), how a code is drawn (`sampling`) and how codes are scored
(`confidence`) are passed in; `interface.decode` takes them by name. Known tokens are never changed.

Differences from the paper: every image of a batch has its own hole and count, and decoding ends once nothing
is masked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskmend.decoding.orders import top_n_mask
from maskmend.decoding.sampling import entropy, log_probability


@runtime_checkable
class Predict(Protocol):
    """What decoding needs of a model: the logits of the masked tokens, and of no others.

    Called with all tokens, `mask_id` at those masked. Returns one row for each masked token, in row-major
    order of `masked` (S = masked.sum()), and one column for each code (K; the mask token has none). Must not
    write to its input.
    """

    def __call__(
        self, tokens: Int[Tensor, "B N"], masked: Bool[Tensor, "B N"], /
    ) -> Float[Tensor, "S K"]: ...


Sample = Callable[[int, Int[Tensor, "S"], Float[Tensor, "S K"]], Int[Tensor, "S"]]
"""(step from 0, slots, logits) ─► one code for each slot: the hole's tokens, numbered in row-major order."""
Score = Callable[[int, Int[Tensor, "S"], Float[Tensor, "S"]], Float[Tensor, "S"]]
"""(step from 0, slots, log-probability of each slot's code) ─► scores; the highest of an image are kept."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The state after one decoding step; tensors to read, not to write."""

    index: int
    """1 for the first step."""
    tokens: Int[Tensor, "B N"]
    """Tokens kept so far, `mask_id` at those still masked."""
    masked: Bool[Tensor, "B N"]
    """True at tokens still masked."""
    candidate: Int[Tensor, "B N"]
    """Tokens with every gap filled by this step's prediction, kept or not: what the picture looks like so
    far."""

    def at(self, rows: slice | list[int]) -> "Step":
        """The same of some rows of the batch."""
        return Step(
            index=self.index,
            tokens=self.tokens[rows],
            masked=self.masked[rows],
            candidate=self.candidate[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """The result of decoding."""

    tokens: Int[Tensor, "B N"]
    """All tokens, int64: the known ones unchanged, each hole token a code in [0, K)."""
    entropy: Float[Tensor, "B N"]
    """Entropy in nats, 0 to log K, of each hole token as predicted in the first step, where only the known
    tokens are visible: how uncertain the fill is, independent of choices already made. 0 at known tokens."""
    log_likelihood: Float[Tensor, "B"]
    """Sum over an image's hole tokens of the model's log-probability (temperature 1, no truncation, nats) of
    each in the step it was kept; 0 for an empty hole. Ranks fills of one hole; divide by its size to compare
    holes."""
    history: tuple[Step, ...]
    """One entry for each step taken."""


@torch.no_grad()
def iterative_decode(
    predict: Predict,
    tokens: Int[Tensor, "B N"],
    hole: Bool[Tensor, "B N"],
    *,
    mask_id: int,
    n_keep: Int[Tensor, "B T"],
    sample: Sample,
    score: Score,
    on_step: Callable[[Step], object] | None = None,
) -> Decoded:
    """Fill the hole tokens of a batch of images in T steps.

    Args:
        predict: see `Predict`.
        tokens: known tokens; those in the hole are ignored.
        hole: True at tokens to be filled; any number in each image, none and all included.
        mask_id: the mask token; not a code of the model.
        n_keep: how many tokens of each image each step keeps; rows sum up to the images' holes, and every
            step has an image with tokens still masked.
        sample: see `Sample`.
        score: see `Score`.
        on_step: called with each `Step`.
    """
    image, position = hole.nonzero(as_tuple=True)  # of each slot
    tokens, masked = torch.where(hole, mask_id, tokens.long()), hole
    first_entropy = torch.zeros(hole.shape, device=hole.device)
    kept_log_p = torch.zeros_like(first_entropy)
    history = []
    for t in range(n_keep.shape[1]):
        slots = masked[image, position].nonzero()[:, 0]  # (S,): those still masked
        at = image[slots], position[slots]
        logits = predict(tokens, masked).float()  # (S, K)
        codes = sample(t, slots, logits)  # (S,)
        log_p = log_probability(logits, codes)  # (S,)
        candidate = tokens.index_put(at, codes)
        if t == 0:
            first_entropy = first_entropy.index_put(at, entropy(logits))

        scores = torch.zeros_like(kept_log_p).index_put(at, score(t, slots, log_p))
        keep = top_n_mask(scores, masked, n_keep[:, t])  # (B, N)

        kept_log_p = torch.where(keep, kept_log_p.index_put(at, log_p), kept_log_p)
        tokens = torch.where(keep, candidate, tokens)
        masked = masked & ~keep
        history.append(Step(index=t + 1, tokens=tokens, masked=masked, candidate=candidate))
        if on_step is not None:
            on_step(history[-1])
    return Decoded(
        tokens=tokens, entropy=first_entropy, log_likelihood=kept_log_p.sum(dim=1), history=tuple(history)
    )
