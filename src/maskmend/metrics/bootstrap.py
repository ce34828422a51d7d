"""Bootstrap intervals (Efron 1979): how much a score would change with other test images.

Images are resampled with replacement and the score is computed again; the spread of these values, centred on
the score itself, is the interval. It is centred because a resampled set has repeated images, which increases
set distances such as FID: that shift is an artefact, the spread is not. The interval describes the sampling
noise of scores on equally many images, not FID's bias towards larger values on small sets.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from maskmend.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with its confidence interval."""

    value: float
    """The figure on all images."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""
    level: float = 0.95
    """Share of the repetitions that the interval covers."""

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def ties(self, other: "Interval") -> bool:
        """Whether the two intervals overlap, so that neither figure should be called better."""
        return self.low <= other.high and other.low <= self.high


def resample(generator: np.random.Generator, count: int) -> Int[np.ndarray, "N"]:
    """How often each of `count` images is drawn in one repetition; sums to `count`."""
    return np.bincount(generator.integers(count, size=count), minlength=count)


def centred_interval(value: float, draws: Float[np.ndarray, "R"], level: float = 0.95) -> Interval:
    """The interval from repeated figures: their quantiles, moved so that their mean falls on `value`."""
    if not 0 < level < 1:
        raise ConfigError(f"level={level}: choose a confidence level between 0 and 1, such as 0.95")
    if draws.size == 0:
        raise ConfigError("no bootstrap draws: choose at least 1, better 100 or more")
    low, high = np.quantile(draws - draws.mean(), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=value, low=value + float(low), high=value + float(high), level=level)


def bootstrap(
    figure: Callable[[Int[np.ndarray, "N"]], float],
    count: int,
    *,
    repeats: int,
    seed: int,
    level: float = 0.95,
) -> Interval:
    """The interval of `figure`, a function of how often each of `count` images counts.

    `figure` of all ones is the value itself. `repeats` draws are made from `seed`; ConfigError if that is
    below 1.
    """
    return centred_interval(*bootstrap_draws(figure, count, repeats=repeats, seed=seed), level)


def bootstrap_draws(
    figure: Callable[[Int[np.ndarray, "N"]], float], count: int, *, repeats: int, seed: int
) -> tuple[float, Float[np.ndarray, "R"]]:
    """`figure` of all images once each, and of `repeats` redrawn sets.

    The same `count`, `repeats` and `seed` draw the same images, whatever the figure: so the draws of two
    results on the same images can be subtracted, and give the interval of the difference.
    """
    if repeats < 1:
        raise ConfigError(f"repeats={repeats}: choose at least 1 bootstrap draw, better 100 or more")
    generator = np.random.default_rng(seed)
    value = figure(np.ones(count, dtype=np.int64))
    return value, np.array([figure(resample(generator, count)) for _ in range(repeats)])


def mean_interval(
    values: Float[np.ndarray, "N"], *, repeats: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """The mean of figures measured image by image, with its interval. ConfigError if there are none."""
    if values.size == 0:
        raise ConfigError("no values to average: give at least one image")
    return bootstrap(lambda counts: float(np.average(values, weights=counts)), values.size,
                     repeats=repeats, seed=seed, level=level)  # fmt: skip
