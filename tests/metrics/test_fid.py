"""FID's arithmetic against closed forms, SciPy's general matrix root, and itself by the short way."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmend.errors import DataError
from maskmend.metrics.fid import (
    Gaussian,
    fid,
    fid_draws,
    fid_interval,
    frechet_distance,
    gaussian,
    matrix_root,
    trace_of_root,
)


def features(seed: int, count: int, width: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mix = np.random.default_rng(7).normal(size=(width, width))
    return (generator.normal(size=(count, width)) @ mix * scale + shift).astype(np.float32)


def covariance(seed: int, width: int, rank: int) -> np.ndarray:
    half = np.random.default_rng(seed).normal(size=(width, rank))
    return half @ half.T


@given(seed=st.integers(0, 999), count=st.integers(2, 30), width=st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_a_set_with_itself_is_zero(seed: int, count: int, width: int) -> None:
    rows = features(seed, count, width)
    scale = float(np.square(rows).sum())
    assert fid(rows, rows) == pytest.approx(0, abs=1e-5 * scale)
    assert fid_interval(rows, rows, repeats=3).value == pytest.approx(0, abs=1e-5 * scale)


def test_closed_form_in_one_dimension() -> None:
    """(m1 - m2)^2 + (s1 - s2)^2."""
    a = Gaussian(mean=np.array([1.0]), covariance=np.array([[4.0]]))
    b = Gaussian(mean=np.array([4.0]), covariance=np.array([[25.0]]))
    assert frechet_distance(a, b) == pytest.approx(9 + 9)


def test_closed_form_for_commuting_covariances() -> None:
    """Diagonal covariances: the sum of the one-dimensional distances."""
    s1, s2 = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, 4.0])
    a = Gaussian(mean=np.zeros(3), covariance=np.diag(s1**2))
    b = Gaussian(mean=np.array([0.0, 1.0, 2.0]), covariance=np.diag(s2**2))
    assert frechet_distance(a, b) == pytest.approx(5 + np.square(s1 - s2).sum())


@pytest.mark.parametrize("seed", range(4))
def test_root_agrees_with_scipy(seed: int) -> None:
    c1, c2 = covariance(seed, 12, 20), covariance(seed + 50, 12, 20)
    np.testing.assert_allclose(matrix_root(c1), scipy.linalg.sqrtm(c1).real, atol=1e-9)
    general = scipy.linalg.sqrtm(c1 @ c2)
    assert trace_of_root(c1, c2) == pytest.approx(float(np.trace(general).real), rel=1e-9)


def test_fewer_images_than_features() -> None:
    """Would catch a root that turns complex or NaN on singular covariances, the usual case."""
    c1, c2 = covariance(1, 40, 6), covariance(2, 40, 6)
    expected = np.linalg.svd(_half(1, 40, 6).T @ _half(2, 40, 6), compute_uv=False).sum()
    assert trace_of_root(c1, c2) == pytest.approx(float(expected), rel=1e-6)


def _half(seed: int, width: int, rank: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(width, rank))


@given(
    seed=st.integers(0, 999),
    n=st.integers(2, 25),
    m=st.integers(2, 25),
    width=st.integers(1, 15),
    shift=st.floats(-2, 2),
)
@settings(max_examples=40, deadline=None)
def test_the_short_way_agrees_with_the_definition(
    seed: int, n: int, m: int, width: int, shift: float
) -> None:
    """Would catch a slip in centring or weighting, on unequal sets, wide or tall."""
    x, y = features(seed, n, width), features(seed + 1, m, width, shift, 1.5)
    assert fid_interval(x, y, repeats=1).value == pytest.approx(fid(x, y), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("sizes", [(12, 12), (12, 20)])
def test_a_bootstrap_draw_is_the_fid_of_the_repeated_images(
    sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch counts that do not act as repeated rows, or pairs that are torn apart."""
    from maskmend.metrics import bootstrap

    n, m = sizes
    x, y = features(3, n, 8), features(4, m, 8, 0.5)
    counts = np.bincount(np.random.default_rng(0).integers(n, size=n), minlength=n)
    monkeypatch.setattr(bootstrap, "resample", lambda generator, count: counts)
    _, drawn = fid_draws(x, y, repeats=1, seed=0)
    repeated = fid(np.repeat(x, counts, axis=0), np.repeat(y, counts, axis=0) if n == m else y)
    assert drawn[0] == pytest.approx(repeated, rel=1e-6)


def test_symmetry_and_invariance_to_order() -> None:
    x, y = features(5, 20, 6), features(6, 25, 6, 1.0)
    assert fid(x, y) == pytest.approx(fid(y, x))
    assert fid(x[::-1], y) == pytest.approx(fid(x, y))


def test_interval_holds_the_value_and_repeats() -> None:
    x, y = features(8, 30, 6), features(9, 30, 6, 0.3)
    first, second = (fid_interval(x, y, repeats=20, seed=4) for _ in range(2))
    assert first == second
    assert first.low <= first.value <= first.high
    assert fid_interval(x, y, repeats=20, seed=5) != first


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("rows", [np.zeros((1, 4)), np.zeros(4), np.full((3, 4), np.nan)])
def test_useless_features_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(DataError):
        gaussian(rows)


@pytest.mark.usefixtures("unchecked")
def test_two_networks_are_told_apart() -> None:
    with pytest.raises(DataError, match="one network"):
        fid(features(0, 5, 3), features(0, 5, 4))
    with pytest.raises(DataError, match="one network"):
        fid_interval(features(0, 5, 3), features(0, 5, 4))
