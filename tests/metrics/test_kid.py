"""KID against its definition in plain loops."""

import numpy as np
import pytest

from maskmend.errors import DataError
from maskmend.metrics.kid import kid, kid_interval


def features(seed: int, count: int, shift: float = 0.0, width: int = 5) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, width)) + shift).astype(np.float32)


def test_against_the_definition() -> None:
    x, y = features(0, 7), features(1, 9, 0.5)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a.astype(np.float64) @ b.astype(np.float64)) / 5 + 1) ** 3

    within_x = np.mean([kernel(x[i], x[j]) for i in range(7) for j in range(7) if i != j])
    within_y = np.mean([kernel(y[i], y[j]) for i in range(9) for j in range(9) if i != j])
    across = np.mean([kernel(a, b) for a in x for b in y])
    assert kid(x, y) == pytest.approx(within_x + within_y - 2 * across)
    assert kid_interval(x, y, repeats=1).value == pytest.approx(kid(x, y))


def test_unbiased_on_small_sets() -> None:
    """Would catch the biased estimate (i = j kept), whose mean over like sets is well above 0."""
    values = [kid(features(2 * seed, 6), features(2 * seed + 1, 6)) for seed in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20
    assert min(values) < 0


def test_a_repeated_image_is_not_compared_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch bootstrap draws that lie above the value by their repetitions alone."""
    from maskmend.metrics import bootstrap

    x, y = features(2, 8), features(3, 11)
    counts = np.array([2, 2, 0, 1, 1, 1, 1, 0])
    monkeypatch.setattr(bootstrap, "resample", lambda generator, count: counts)
    drawn: list[np.ndarray] = []
    real = bootstrap.centred_interval
    monkeypatch.setattr(
        bootstrap,
        "centred_interval",
        lambda value, draws, level: drawn.append(draws) or real(value, draws, level),
    )
    kid_interval(x, y, repeats=1)
    rows = np.repeat(np.arange(8), counts)
    gram = (x.astype(np.float64) @ x.astype(np.float64).T / 5 + 1) ** 3
    pairs = [gram[i, j] for i in rows for j in rows if i != j]
    rest = kid(x, y) - np.mean([gram[i, j] for i in range(8) for j in range(8) if i != j])
    across = (x.astype(np.float64) @ y.astype(np.float64).T / 5 + 1) ** 3
    rest += 2 * across.mean() - 2 * across[rows].mean()
    assert drawn[0][0] == pytest.approx(np.mean(pairs) + rest)


def test_a_draw_of_a_single_image_is_finite() -> None:
    """Would catch a division by zero pairs, which sets of two images meet at once."""
    interval = kid_interval(features(0, 2), features(1, 2), repeats=30)
    assert np.isfinite([interval.low, interval.high]).all()


@pytest.mark.usefixtures("unchecked")
def test_useless_sets_are_refused() -> None:
    with pytest.raises(DataError, match="at least 2"):
        kid(features(0, 1), features(1, 4))
    with pytest.raises(DataError, match="one network"):
        kid(features(0, 4), features(1, 4, width=6))
