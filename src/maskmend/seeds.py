"""Valid seeds of fills, for all that fill, with or without PyTorch."""

import operator

import numpy as np

from maskmend.errors import ConfigError

MAX_SEED = 2**63 - 1
"""Seeds are 0 to MAX_SEED: they are stored in int64 tensors."""


def window_seed(seed: int, level: int, window: int) -> int:
    """The seed of a window of a fill. Windows have different seeds, as the noise would repeat otherwise."""
    state = np.random.SeedSequence([seed, level, window]).generate_state(1, np.uint64)
    return int(state[0]) & MAX_SEED


def whole(value: object) -> int | None:
    """The value as int if it is a whole number, those of NumPy and PyTorch included."""
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def seeds_from(seed: object, samples: object = 1) -> tuple[int, ...]:
    """The seeds seed, seed + 1, ... of `samples` fills. Raises ConfigError for invalid values."""
    first, count = whole(seed), whole(samples)
    if count is None or count < 1:
        raise ConfigError(f"samples = {samples!r}: give a whole number, 1 or more")
    if first is None:
        raise ConfigError(f"seed = {seed!r}: give a whole number")
    last = MAX_SEED - count + 1
    if not 0 <= first <= last:
        those = f", with {count} samples" if count > 1 else ""
        raise ConfigError(f"seed {first} is out of range: give an integer from 0 to {last}{those}")
    return tuple(range(first, first + count))
