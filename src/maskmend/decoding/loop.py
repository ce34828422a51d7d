"""Iterative decoding of masked tokens (MaskGIT, Chang et al. 2022), as a free function that knows no model.

Each step predicts all tokens still masked, keeps the best-placed of them as the schedule says, and masks the
others again: m_t = floor(gamma(t/T) * m_0). Known tokens are only ever read.

Differences from the paper: every image of a batch has its own hole and count; noise is a hash of (seed, step,
position, code), so a fill does not depend on the batch it ran in; steps end early once nothing is masked.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskmend.decoding.noise import SlotNoise, Stream
from maskmend.decoding.orders import ORDERS, best, halton_rank, random_score
from maskmend.decoding.sampling import choose, entropy, log_probability
from maskmend.decoding.schedules import plan
from maskmend.errors import ConfigError, ModelError
from maskmend.seeds import seeds_from, whole

CHOICES = ("sample", "argmax")
CONFIDENCES = ("log_probability", "probability")


@runtime_checkable
class Predict(Protocol):
    """What `decode` needs of a model: the logits of the masked tokens, and only theirs.

    Called with all tokens, `mask_id` at those masked. Returns one row for each masked token, in row-major
    order of `masked` (S = masked.sum()), and one column for each code (K; the mask token has none). Must not
    write to its input.
    """

    def __call__(
        self, tokens: Int[Tensor, "B N"], masked: Bool[Tensor, "B N"], /
    ) -> Float[Tensor, "S K"]: ...


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


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What `decode` returns."""

    tokens: Int[Tensor, "B N"]
    """All tokens, int64: the known ones as they came, each hole token a code in [0, K)."""
    entropy: Float[Tensor, "B N"]
    """Entropy in nats, 0 to log K, of each hole token as predicted in the first step, where only the known
    tokens were to be seen: how uncertain the fill is, free of choices already made. 0 at known tokens."""
    log_likelihood: Float[Tensor, "B"]
    """Sum over an image's hole tokens of the model's log-probability (temperature 1, no truncation, nats) of
    each in the step it was kept; 0 for an empty hole. Ranks fills of one hole; divide by its size to compare
    holes."""
    history: tuple[Step, ...]
    """One entry for each step taken, at most `steps`."""


@torch.no_grad()
def decode(
    predict: Predict,
    tokens: Int[Tensor, "B N"],
    hole: Bool[Tensor, "B N"],
    *,
    mask_id: int,
    steps: int = 8,
    schedule: str = "cosine",
    order: str = "confidence",
    confidence: str = "log_probability",
    noise: float = 4.5,
    choice: str = "sample",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seeds: Sequence[int] | None = None,
    grid: tuple[int, int] | None = None,
    sweet_spot: int | None = None,
    callback: Callable[[Step], object] | None = None,
) -> Decoded:
    """Fill the hole tokens of a batch of images, step by step.

    Args:
        predict: see `Predict`; never called when nothing is masked.
        tokens: known tokens; what stands in the hole is ignored.
        hole: True at tokens to be filled; any number in each image, none and all included.
        mask_id: the token that stands for a masked one; not a code of the model.
        steps: T, 1 or more.
        schedule: a name in `schedules.SCHEDULES`.
        order: which predictions are kept first: "confidence", "random" or "halton".
        confidence: "log_probability" (MaskGIT) or "probability" of the chosen token at temperature 1, to
            which order "confidence" adds noise * (1 - t/T) * Gumbel. choice="argmax" with
            confidence="probability" and noise 4.5 is the protocol of the report.
        noise: its weight, 0 or more (MaskGIT: 4.5); 0 keeps the surest predictions.
        choice: "sample" from the predicted distribution, or "argmax".
        temperature: of sampling, 0 or more; 0 is argmax.
        top_k: sample among the k most probable codes only.
        top_p: sample among the most probable codes that sum to this probability, in (0, 1].
        seeds: one for each image, 0 to 2^63 - 1; None is 0, 1, 2, ... The same seed gives the same fill of
            the same image in any batch and row.
        grid: height and width of the token grid, for "halton"; None is a square.
        sweet_spot: stop after this step, 1 to `steps`: tokens still masked take that step's prediction.
        callback: called with each `Step`.

    Raises:
        ConfigError: an argument out of its range; tokens, hole, seeds or grid that do not fit each other;
            known tokens equal to `mask_id`.
        ModelError: `predict` returns logits of a wrong shape, logits for `mask_id`, or NaN.
    """
    _check_settings(order, confidence, noise, choice, temperature, top_k, top_p, steps, sweet_spot)
    _check_tokens(tokens, hole, mask_id)
    steps = int(steps)  # of NumPy's integers some would overflow below
    images, length = tokens.shape
    device = tokens.device
    seed = torch.tensor(_checked_seeds(seeds, images), dtype=torch.int64, device=device)  # (B,)

    remaining = plan(hole.sum(dim=1).cpu(), steps, schedule)  # (B, T+1)
    if sweet_spot is not None:
        remaining[:, sweet_spot:] = 0
    # Read on the CPU once, so that no step has to ask the device whether anything is left.
    taken = int((remaining > 0).any(dim=0).sum())
    newly = (remaining[:, :-1] - remaining[:, 1:]).to(device)  # (B, T): how many tokens each step keeps

    fixed = None  # the score of all tokens, where the order is known in advance
    if order == "random":
        fixed = random_score(seed, length)
    elif order == "halton":
        fixed = -halton_rank(*_checked_grid(grid, length)).to(device).float().expand(images, length)
    tokens = torch.where(hole, mask_id, tokens.long())
    masked = hole
    uncertainty = torch.zeros(images, length, device=device)
    kept_log_p = torch.zeros(images, length, device=device)
    images_of, positions = hole.nonzero(as_tuple=True)  # of the hole's tokens, the slots
    every = torch.arange(1, taken + 1, device=device)
    drawing = shaking = None
    if choice == "sample" and temperature > 0:
        drawing = SlotNoise(seed, Stream.TOKEN, every, images_of, positions)
    if fixed is None and noise > 0:
        weights = [[noise * (1 - t / steps)] for t in range(1, taken + 1)]
        # The format is said: numbers of NumPy, in steps or noise, would bring float64.
        weight = torch.tensor(weights, dtype=torch.float32, device=device)
        shaking = SlotNoise(seed, Stream.CONFIDENCE, every, images_of, positions).gumbels() * weight
    history = []
    for t in range(1, taken + 1):
        slots = masked[images_of, positions].nonzero()[:, 0]  # (S,): those still masked
        row, position = images_of[slots], positions[slots]
        logits = _checked_logits(predict(tokens, masked), len(slots), mask_id)  # (S, K)
        draw = None if drawing is None else drawing.gumbel(t - 1, slots, logits.shape[1])
        code = choose(logits, draw, temperature=temperature, top_k=top_k, top_p=top_p)
        log_p = log_probability(logits, code)
        candidate = tokens.index_put((row, position), code)
        if t == 1:
            uncertainty[row, position] = entropy(logits)

        score = fixed
        if score is None:
            sure = log_p if confidence == "log_probability" else log_p.exp()
            if shaking is not None and t < steps:
                sure = sure + shaking[t - 1, slots]
            score = uncertainty.new_zeros(images, length).index_put((row, position), sure)
        keep = best(score, masked, newly[:, t - 1])

        kept_log_p = torch.where(keep, kept_log_p.index_put((row, position), log_p), kept_log_p)
        tokens = torch.where(keep, candidate, tokens)
        masked = masked & ~keep
        history.append(Step(index=t, tokens=tokens, masked=masked, candidate=candidate))
        if callback is not None:
            callback(history[-1])

    log_likelihood = kept_log_p.sum(dim=1)
    if log_likelihood.isnan().any():
        raise ModelError("predict returned NaN logits: the weights are damaged or a number format overflowed")
    return Decoded(tokens=tokens, entropy=uncertainty, log_likelihood=log_likelihood, history=tuple(history))


def _check_settings(
    order: str,
    confidence: str,
    noise: float,
    choice: str,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    steps: int,
    sweet_spot: int | None,
) -> None:
    for name, value, known in (
        ("order", order, ORDERS),
        ("confidence", confidence, CONFIDENCES),
        ("choice", choice, CHOICES),
    ):
        if value not in known:
            raise ConfigError(f"{name} is {value!r}: give one of {', '.join(known)}")
    for name, value in (("noise", noise), ("temperature", temperature)):
        if not 0 <= value < math.inf:
            raise ConfigError(f"{name} is {value}: give a finite number, 0 or more")
    for name, count in (("steps", steps), ("top_k", top_k), ("sweet_spot", sweet_spot)):
        if count is not None and whole(count) is None:
            raise ConfigError(f"{name} is {count!r}: give a whole number")
    if top_k is not None and top_k < 1:
        raise ConfigError(f"top_k is {top_k}: give 1 or more, or None for all codes")
    if top_p is not None and not 0 < top_p <= 1:
        raise ConfigError(f"top_p is {top_p}: give a probability above 0 and up to 1, or None for all codes")
    if steps < 1:
        raise ConfigError(f"steps is {steps}: give 1 or more")
    if sweet_spot is not None and not 1 <= sweet_spot <= steps:
        raise ConfigError(f"sweet_spot is {sweet_spot}: with {steps} steps give 1 to {steps}, or None")


def _check_tokens(tokens: Tensor, hole: Tensor, mask_id: int) -> None:
    if tokens.ndim != 2 or hole.shape != tokens.shape:
        shapes = f"{tuple(tokens.shape)} and {tuple(hole.shape)}"
        raise ConfigError(f"tokens and hole have shapes {shapes}: give both as (images, tokens)")
    if hole.dtype != torch.bool or tokens.is_floating_point():
        raise ConfigError(f"tokens and hole are {tokens.dtype} and {hole.dtype}: give integers and bool")
    if ((tokens == mask_id) & ~hole).any():
        raise ConfigError(f"some known tokens are the mask token {mask_id}: set hole to True there")


def _checked_seeds(seeds: Sequence[int] | None, images: int) -> list[int]:
    if seeds is None:
        return list(range(images))
    if len(seeds) != images:
        raise ConfigError(f"{len(seeds)} seeds for {images} images: give one seed for each image")
    return [seeds_from(seed)[0] for seed in seeds]


def _checked_grid(grid: tuple[int, int] | None, length: int) -> tuple[int, int]:
    if grid is None:
        grid = (math.isqrt(length), math.isqrt(length))
        remedy = "give grid=(height, width) for tokens that form no square"
    else:
        remedy = "give a grid whose height times width is the number of tokens"
    if grid[0] * grid[1] != length or min(grid) < 1:
        raise ConfigError(f"a grid of {grid[0]} x {grid[1]} does not hold {length} tokens: {remedy}")
    return grid


def _checked_logits(logits: Tensor, slots: int, mask_id: int) -> Float[Tensor, "S K"]:
    if logits.ndim != 2 or len(logits) != slots or logits.shape[1] < 1:
        raise ModelError(
            f"predict returned logits of shape {tuple(logits.shape)} for {slots} masked tokens: "
            "return one row for each, one column for each code"
        )
    if 0 <= mask_id < logits.shape[1]:
        raise ModelError(
            f"predict returned {logits.shape[1]} logits a token, the mask token {mask_id} among them: "
            "return the codes only"
        )
    return logits.float()
