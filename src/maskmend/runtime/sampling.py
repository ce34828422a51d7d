"""The decoding loop of `maskmend.decoding.loop` in NumPy, for one picture and any number of seeds.

The settings are documented in `maskmend.decoding.interface`. The Halton order is not supported.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int

from maskmend.decoding.noise_words import Stream
from maskmend.decoding.schedules import ROUNDING, schedule_named
from maskmend.errors import ConfigError
from maskmend.runtime import noise as hashed
from maskmend.seeds import seeds_from
from maskmend.settings import DEFAULTS, Settings

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(tokens (B, N), masked (B, N)) ─► logits (S, K) of the masked tokens in row-major order."""


def mask_counts(hole: int, steps: int, gamma: Callable[[float], float]) -> list[int]:
    """Tokens still masked after each step, from step 0; as `maskmend.decoding.mask_counts`."""
    counts = [hole]
    for t in range(1, steps + 1):
        wanted = math.floor(hole * gamma(t / steps) + ROUNDING)
        counts.append(max(0, min(wanted, counts[-1] - 1)))
    return counts


def decode(
    predict: Predict,
    tokens: Int[np.ndarray, "N"],
    hole: Bool[np.ndarray, "N"],
    *,
    mask_id: int,
    seeds: Sequence[int],
    settings: Settings = DEFAULTS,
) -> Int[np.ndarray, "B N"]:
    """Tokens with the hole filled, one row for each seed; arguments as for `maskmend.decoding.decode`, whose
    choices are those of `settings`.

    Raises ConfigError for order = "halton" and for invalid seeds.
    """
    if settings.order == "halton":
        raise ConfigError(f"order {settings.order!r} needs PyTorch: give confidence or random here")
    steps, temperature = settings.steps, settings.temperature
    seeds = [seeds_from(one)[0] for one in seeds]
    count, seed = len(seeds), np.asarray(seeds, np.int64)
    masked = np.tile(hole, (count, 1))
    filled = np.where(masked, mask_id, tokens[None]).astype(np.int64)
    counts = mask_counts(int(hole.sum()), steps, schedule_named(settings.schedule))
    if settings.sweet_spot is not None:
        counts[settings.sweet_spot :] = [0] * (steps + 1 - settings.sweet_spot)
    for t in range(1, steps + 1):
        if counts[t - 1] == 0:
            break
        row, position = masked.nonzero()
        logits = predict(filled, masked)
        draw = None
        if settings.choice == "sample" and temperature > 0:
            draw = hashed.gumbel(seed[row], t, position, logits.shape[1], Stream.TOKEN)
        code = sample(logits, draw, temperature, settings.top_k, settings.top_p)
        if settings.order == "random":
            score = hashed.uniform(seed[row], 0, position, 1, Stream.ORDER)[:, 0]
        else:
            score = _log_probability(logits, code)
            if settings.confidence == "probability":
                score = np.exp(score)
            weight = settings.noise * (1 - t / steps)
            if weight > 0:
                drawn = hashed.gumbel(seed[row], t, position, 1, Stream.CONFIDENCE)[:, 0]
                score = score + np.float32(weight) * drawn
        n_keep = counts[t - 1] - counts[t]
        for image in range(count):
            rows = np.flatnonzero(row == image)
            kept = rows[np.argsort(-score[rows], kind="stable")[:n_keep]]
            filled[image, position[kept]] = code[kept]
            masked[image, position[kept]] = False
    return filled


def sample(
    logits: Float32[np.ndarray, "S K"],
    gumbel: Float32[np.ndarray, "S K"] | None,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
) -> Int[np.ndarray, "S"]:
    """One code for each row, as `maskmend.decoding.sampling.sample`."""
    if gumbel is None:
        return logits.argmax(1)
    scaled = (logits - logits.max(1, keepdims=True)) / np.float32(temperature)
    if top_k is None and top_p is None:
        return (scaled + gumbel).argmax(1)
    code = np.argsort(-scaled, axis=1, kind="stable")
    scaled = np.take_along_axis(scaled, code, 1)
    if top_k is not None:
        scaled, code = scaled[:, :top_k], code[:, :top_k]
    if top_p is not None and top_p < 1:
        probability = np.exp(scaled)
        probability = probability / probability.sum(1, keepdims=True)
        before = probability.cumsum(1) - probability
        before[:, 0] = 0
        scaled = np.where(before >= top_p, -np.inf, scaled)
    winner = (scaled + np.take_along_axis(gumbel, code, 1)).argmax(1)
    return np.take_along_axis(code, winner[:, None], 1)[:, 0]


def _log_probability(logits: np.ndarray, code: np.ndarray) -> np.ndarray:
    most = logits.max(1, keepdims=True)
    total = np.log(np.exp(logits - most).sum(1)) + most[:, 0]
    return np.take_along_axis(logits, code[:, None], 1)[:, 0] - total
