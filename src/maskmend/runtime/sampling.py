"""The decode loop of `maskmend.decoding.loop` in NumPy, for one picture and any number of seeds.

The plain loop of the paper; `maskmend.decoding.loop` explains the settings. The Halton order needs PyTorch.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int

from maskmend.errors import ConfigError
from maskmend.runtime import noise as hashed
from maskmend.seeds import seeds_from
from maskmend.settings import Settings

GAMMAS: dict[str, Callable[[float], float]] = {
    "cosine": lambda r: math.sin(math.pi / 2 * (1 - r)),
    "linear": lambda r: 1 - r,
    "square": lambda r: 1 - r**2,
    "square_root": lambda r: 1 - math.sqrt(r),
    "arccos": lambda r: math.acos(r) * 2 / math.pi,
    "cubic": lambda r: 1 - r**3,
    "log": lambda r: 1 - math.log(1 + 255 * r) / math.log(256),
    "exp": lambda r: (256 - 256**r) / 255,
}
"""As `maskmend.decoding.schedules.SCHEDULES`, which a test holds them to."""

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(tokens (B, N), masked (B, N)) ─► logits (S, K) of the masked tokens in row-major order."""


def plan(hole: int, steps: int, schedule: str) -> list[int]:
    """Tokens still masked after each step, from step 0."""
    if schedule not in GAMMAS:
        raise ConfigError(f"unknown schedule {schedule!r}: there are {', '.join(GAMMAS)}")
    left = [hole]
    for t in range(1, steps + 1):
        wanted = math.floor(hole * GAMMAS[schedule](t / steps) + 1e-9)
        left.append(max(0, min(wanted, left[-1] - 1)))
    return left


def decode(
    predict: Predict,
    tokens: Int[np.ndarray, "N"],
    hole: Bool[np.ndarray, "N"],
    *,
    mask_id: int,
    seeds: Sequence[int],
    steps: int = 8,
    schedule: str = "cosine",
    order: str = "confidence",
    confidence: str = "log_probability",
    noise: float = 1.0,
    choice: str = "sample",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    sweet_spot: int | None = None,
) -> Int[np.ndarray, "B N"]:
    """Tokens with the hole filled, one row for each seed; arguments as for `maskmend.decoding.loop.decode`.

    Raises ConfigError for a setting that `Settings` refuses, and for order = "halton".
    """
    chosen = Settings().changed(
        steps=steps, schedule=schedule, order=order, confidence=confidence, noise=noise, choice=choice,
        temperature=temperature, top_k=top_k, top_p=top_p, sweet_spot=sweet_spot,
    )  # fmt: skip
    if chosen.order == "halton":
        raise ConfigError(f"order {order!r} needs PyTorch: give confidence or random here")
    steps = chosen.steps
    seeds = [seeds_from(one)[0] for one in seeds]
    count, seed = len(seeds), np.asarray(seeds, np.int64)
    masked = np.tile(hole, (count, 1))
    filled = np.where(masked, mask_id, tokens[None]).astype(np.int64)
    left = plan(int(hole.sum()), steps, schedule)
    if sweet_spot is not None:
        left[sweet_spot:] = [0] * (steps + 1 - sweet_spot)
    for t in range(1, steps + 1):
        if left[t - 1] == 0:
            break
        row, position = masked.nonzero()
        logits = predict(filled, masked)
        draw = None
        if choice == "sample" and temperature > 0:
            draw = hashed.gumbel(seed[row], t, position, logits.shape[1], hashed.TOKEN)
        code = choose(logits, draw, temperature, top_k, top_p)
        if order == "random":
            score = hashed.uniform(seed[row], 0, position, 1, hashed.ORDER)[:, 0]
        else:
            score = _log_probability(logits, code)
            if confidence == "probability":
                score = np.exp(score)
            weight = noise * (1 - t / steps)
            if weight > 0:
                drawn = hashed.gumbel(seed[row], t, position, 1, hashed.CONFIDENCE)[:, 0]
                score = score + np.float32(weight) * drawn
        keep = left[t - 1] - left[t]
        for image in range(count):
            rows = np.flatnonzero(row == image)
            best = rows[np.argsort(-score[rows], kind="stable")[:keep]]
            filled[image, position[best]] = code[best]
            masked[image, position[best]] = False
    return filled


def choose(
    logits: Float32[np.ndarray, "S K"],
    draw: Float32[np.ndarray, "S K"] | None,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
) -> Int[np.ndarray, "S"]:
    """One code for each row, as `maskmend.decoding.sampling.choose`."""
    if draw is None:
        return logits.argmax(1)
    scaled = (logits - logits.max(1, keepdims=True)) / np.float32(temperature)
    if top_k is None and top_p is None:
        return (scaled + draw).argmax(1)
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
    winner = (scaled + np.take_along_axis(draw, code, 1)).argmax(1)
    return np.take_along_axis(code, winner[:, None], 1)[:, 0]


def _log_probability(logits: np.ndarray, code: np.ndarray) -> np.ndarray:
    most = logits.max(1, keepdims=True)
    total = np.log(np.exp(logits - most).sum(1)) + most[:, 0]
    return np.take_along_axis(logits, code[:, None], 1)[:, 0] - total
