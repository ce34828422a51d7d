"""Intervals: what they are centred on, that they repeat, and that they have about the right width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmend.errors import ConfigError
from maskmend.metrics.bootstrap import Interval, bootstrap, centred_interval, mean_interval, resample


@given(seed=st.integers(0, 10_000), count=st.integers(1, 50))
def test_a_draw_has_as_many_images_as_the_set(seed: int, count: int) -> None:
    counts = resample(np.random.default_rng(seed), count)
    assert counts.shape == (count,)
    assert counts.sum() == count


def test_width_is_that_of_the_mean() -> None:
    """2 * 1.96 * sigma / sqrt(n) for a mean; would catch quantiles of the values instead of the means."""
    values = np.random.default_rng(0).normal(size=400)
    interval = mean_interval(values, repeats=2000, seed=1)
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_a_bias_of_the_draws_does_not_move_the_interval() -> None:
    interval = centred_interval(10.0, np.array([19.0, 20.0, 21.0]), 0.5)
    assert (interval.low, interval.high) == (9.5, 10.5)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(9.0)
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)


def test_ties() -> None:
    a = Interval(value=1.0, low=0.0, high=2.0)
    assert a.ties(Interval(value=2.5, low=2.0, high=3.0))
    assert not a.ties(Interval(value=2.5, low=2.1, high=3.0))
    assert str(a) == "1 [0, 2]"


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="repeats=0"):
        bootstrap(lambda counts: 0.0, 3, repeats=0, seed=0)
    with pytest.raises(ConfigError, match=r"level=95\.0"):
        mean_interval(np.ones(3), level=95.0)
    with pytest.raises(ConfigError, match="at least one image"):
        mean_interval(np.array([]))
