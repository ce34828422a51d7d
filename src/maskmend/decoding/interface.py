"""`decode`: iterative decoding with all choices given by name; checks them and builds the loop's functions.

    steps, schedule ─► mask_counts ─► n_keep ─┐
    choice, temperature, top_k, top_p ─► sample ─► iterative_decode ─► Decoded
    order, confidence, noise ─► score ────────┘

Noise is a hash of (seed, step, position, code), so a fill does not depend on the batch it ran in.
"""

import math
import warnings
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from maskmend.decoding.confidence import confidence_noise, confidence_score, halton_score, random_score
from maskmend.decoding.loop import Decoded, Predict, Sample, Score, Step, iterative_decode
from maskmend.decoding.mask_counts import mask_counts
from maskmend.decoding.noise import Stream, slot_noise
from maskmend.decoding.sampling import sample
from maskmend.decoding.schedules import schedule_named
from maskmend.errors import ConfigError, ModelError
from maskmend.seeds import seeds_from
from maskmend.settings import DEFAULTS, Settings


def decode(
    predict: Predict,
    tokens: Int[Tensor, "B N"],
    hole: Bool[Tensor, "B N"],
    *,
    mask_id: int,
    steps: int = DEFAULTS.steps,
    schedule: str = DEFAULTS.schedule,
    order: str = DEFAULTS.order,
    confidence: str = DEFAULTS.confidence,
    noise: float = DEFAULTS.noise,
    choice: str = DEFAULTS.choice,
    temperature: float = DEFAULTS.temperature,
    top_k: int | None = DEFAULTS.top_k,
    top_p: float | None = DEFAULTS.top_p,
    sweet_spot: int | None = DEFAULTS.sweet_spot,
    seeds: Sequence[int] | None = None,
    grid: tuple[int, int] | None = None,
    on_step: Callable[[Step], object] | None = None,
    callback: Callable[[Step], object] | None = None,
) -> Decoded:
    """Fill the hole tokens of a batch of images, step by step.

    Args:
        predict: see `Predict`; never called when nothing is masked.
        tokens: known tokens; those in the hole are ignored.
        hole: True at tokens to be filled; any number in each image, none and all included.
        mask_id: the mask token; not a code of the model.
        steps: T, 1 or more.
        schedule: a name in `schedules.SCHEDULES`.
        order: which predictions are kept first: "confidence", "random" or "halton".
        confidence: "log_probability" (MaskGIT) or "probability" of the chosen token at temperature 1, to
            which order "confidence" adds noise * (1 - t/T) * Gumbel. choice="argmax" with
            confidence="probability" and noise=4.5 is the protocol of the coursework.
        noise: its weight, 0 or more (MaskGIT: 4.5); 0 keeps the most confident predictions.
        choice: "sample" from the predicted distribution, or "argmax".
        temperature: of sampling, 0 or more; 0 is argmax.
        top_k: sample among the k most probable codes only.
        top_p: sample among the most probable codes that sum to this probability, in (0, 1].
        sweet_spot: stop after this step, 1 to `steps`: tokens still masked take that step's prediction.
        seeds: one for each image, 0 to 2^63 - 1; None is 0, 1, 2, ... The same seed gives the same fill of
            the same image in any batch and row.
        grid: height and width of the token grid, for "halton"; None is a square.
        on_step: called with each `Step`.
        callback: the former name of `on_step`.

    Raises:
        ConfigError: an argument out of its range; tokens, hole, seeds or grid that do not fit each other;
            known tokens equal to `mask_id`.
        ModelError: `predict` returns logits of a wrong shape, logits for `mask_id`, or NaN.
    """
    if callback is not None:
        warnings.warn("decode(callback=) is now called on_step", DeprecationWarning, stacklevel=2)
        on_step = on_step or callback
    chosen = Settings().changed(
        steps=steps, schedule=schedule, order=order, confidence=confidence, noise=noise, choice=choice,
        temperature=temperature, top_k=top_k, top_p=top_p, sweet_spot=sweet_spot,
    )  # fmt: skip
    _check_tokens(tokens, hole, mask_id)
    images, length = tokens.shape
    seed = torch.tensor(_checked_seeds(seeds, images), dtype=torch.int64, device=hole.device)  # (B,)
    grid = _checked_grid(grid, length) if chosen.order == "halton" else None

    masked = mask_counts(hole.sum(dim=1).cpu(), chosen.steps, schedule_named(chosen.schedule))  # (B, T+1)
    if chosen.sweet_spot is not None:
        masked[:, chosen.sweet_spot :] = 0
    # Counted on the CPU, once, so that no step has to ask the device whether anything is left.
    taken = int((masked > 0).any(dim=0).sum())
    decoded = iterative_decode(
        predict,
        tokens,
        hole,
        mask_id=mask_id,
        n_keep=-masked[:, : taken + 1].diff(dim=1).to(hole.device),
        sample=_sampling(chosen, seed, hole, taken, mask_id),
        score=_scoring(chosen, seed, hole, taken, grid),
        on_step=on_step,
    )
    if decoded.log_likelihood.isnan().any():
        raise ModelError("predict returned NaN logits: the weights are damaged or a number format overflowed")
    return decoded


def _sampling(
    settings: Settings, seed: Int[Tensor, "B"], hole: Bool[Tensor, "B N"], taken: int, mask_id: int
) -> Sample:
    """How codes are sampled from logits, which are checked first."""
    noise = None
    if settings.choice == "sample" and settings.temperature > 0:
        noise = slot_noise(Stream.TOKEN, seed, hole, taken)

    def sample_codes(t: int, slots: Int[Tensor, "S"], logits: Tensor) -> Int[Tensor, "S"]:
        _check_logits(logits, len(slots), mask_id)
        gumbel = None if noise is None else noise.gumbel(t, slots, logits.shape[1])
        return sample(
            logits, gumbel, temperature=settings.temperature, top_k=settings.top_k, top_p=settings.top_p
        )

    return sample_codes


def _scoring(
    settings: Settings,
    seed: Int[Tensor, "B"],
    hole: Bool[Tensor, "B N"],
    taken: int,
    grid: tuple[int, int] | None,
) -> Score:
    """The score by `order`, `confidence` and `noise`; `grid` is given for order "halton"."""
    if grid is not None:
        return halton_score(grid, hole)
    if settings.order == "random":
        return random_score(seed, hole)
    noise = None
    if settings.noise > 0:
        noise = confidence_noise(settings.noise, settings.steps, seed, hole, taken)
    return confidence_score(noise, probability=settings.confidence == "probability")


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


def _check_logits(logits: Tensor, slots: int, mask_id: int) -> None:
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
