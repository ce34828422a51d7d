"""P-IDS and U-IDS on features whose separability is known."""

import sys

import numpy as np
import pytest

from maskmend.errors import ConfigError, DataError
from maskmend.metrics.discriminability import discriminability


def features(seed: int, count: int = 60, width: int = 3, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, width)) + shift).astype(np.float32)


def test_far_sets_fool_nobody() -> None:
    pytest.importorskip("sklearn", reason="the extra 'evaluate' is not installed")
    for folds in (0, 5):
        scores = discriminability(features(0, shift=9), features(1), folds=folds)
        assert (scores.p_ids, scores.u_ids) == (0, 0)


def test_sets_of_one_distribution_are_a_toss() -> None:
    pytest.importorskip("sklearn", reason="the extra 'evaluate' is not installed")
    scores = discriminability(features(2, 300), features(3, 300))
    assert scores.u_ids == pytest.approx(0.5, abs=0.1)
    assert scores.p_ids == pytest.approx(0.5, abs=0.1)
    assert scores.p_ids == scores.fooled.mean()
    assert scores.u_ids == scores.mistaken.mean()


@pytest.mark.parametrize("folds", [0, 5])
def test_a_set_and_itself_cannot_be_told_apart(folds: int) -> None:
    """Would catch ties taken for right answers: the best results there are would score as the worst."""
    pytest.importorskip("sklearn", reason="the extra 'evaluate' is not installed")
    scores = discriminability(features(8), features(8), folds=folds)
    assert (scores.p_ids, scores.u_ids) == (0.5, 0.5)
    constant = np.zeros((20, 3), np.float32)
    scores = discriminability(constant, constant, folds=folds)
    assert (scores.p_ids, scores.u_ids) == (0.5, 0.5)


def test_more_features_than_images_need_cross_fitting() -> None:
    """Would catch the trap of the coursework's protocol on small sets: 0, however good the results are."""
    pytest.importorskip("sklearn", reason="the extra 'evaluate' is not installed")
    results, truths = features(4, 30, 400), features(5, 30, 400)
    assert discriminability(results, truths, folds=0).u_ids == 0
    assert discriminability(results, truths, folds=5).u_ids > 0.3


def test_the_same_seed_gives_the_same_scores() -> None:
    pytest.importorskip("sklearn", reason="the extra 'evaluate' is not installed")
    first, second = (discriminability(features(6), features(7), seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.fooled, second.fooled)


@pytest.mark.usefixtures("unchecked")
def test_impossible_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="folds=1"):
        discriminability(features(0), features(1), folds=1)
    with pytest.raises(DataError, match="needs pairs"):
        discriminability(features(0, 10), features(1, 11))
    with pytest.raises(DataError, match="too few"):
        discriminability(features(0, 4), features(1, 4), folds=5)


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(ConfigError, match=r"'\.\[evaluate\]'"):
        discriminability(features(0), features(1))
