"""P-IDS and U-IDS: how often a linear classifier mistakes a result for a real image (Zhao et al. 2021,
CoModGAN).

A linear support vector machine separates the features of truths and results. U-IDS is its error rate over
both (0.5 means indistinguishable); P-IDS is the share of pairs in which the result looks more real than its
own truth. A tie counts half.

The paper fits and scores on the same images. With fewer images than features (2,048) a separating plane
always exists and both scores are 0 whatever the results, so by default each pair is scored by a classifier
fitted on the others. `folds=0` is the paper's protocol, for sets of tens of thousands. Needs scikit-learn
(the extra `evaluate`).
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from maskmend.errors import ConfigError, DataError, pip_install


@dataclass(frozen=True, kw_only=True)
class Discriminability:
    """Both scores, the higher the better, and the single decisions for a bootstrap."""

    p_ids: float
    """Share of results that look more real than their own truth, in [0, 1]."""
    u_ids: float
    """Share of images on the wrong side of the plane, in [0, 1]."""
    fooled: Float[np.ndarray, "N"]
    """1 where the result looks more real than its truth, 0.5 where it looks just as real."""
    mistaken: Float[np.ndarray, "N"]
    """0 to 1: how many of a pair's two images lie on the wrong side; one on the plane itself counts half."""


def discriminability(
    results: Float[np.ndarray, "N D"], truths: Float[np.ndarray, "N D"], *, folds: int = 5, seed: int = 0
) -> Discriminability:
    """P-IDS and U-IDS of paired features. `seed` shuffles the pairs into `folds`; 0 folds is the paper's
    protocol.

    Raises DataError for sets of unequal shape or fewer pairs than folds, ConfigError for an impossible number
    of folds or if scikit-learn is missing.
    """
    if results.shape != truths.shape or results.ndim != 2:
        raise DataError(f"features of shape {results.shape} and {truths.shape}: P-IDS needs pairs")
    count = results.shape[0]
    if folds == 1 or folds < 0:
        raise ConfigError(f"folds={folds}: choose 0 (fit and score on the same images) or 2 and more")
    if count < max(folds, 2):
        raise DataError(f"{count} pairs are too few for {folds or 'the paper’s'} folds: give more images")
    real, fake = np.empty(count), np.empty(count)
    everyone = np.arange(count)
    parts = np.array_split(np.random.default_rng(seed).permutation(count), folds) if folds else [everyone]
    for held_out in parts:
        fitted = np.setdiff1d(everyone, held_out) if folds else everyone
        machine = _machine()
        rows = np.concatenate([truths[fitted], results[fitted]]).astype(np.float64)
        labels = np.repeat([1, 0], len(fitted))
        with warnings.catch_warnings():
            # Almost separable sets stop at the iteration limit; the plane is good to many digits by then
            warnings.filterwarnings("ignore", message="Liblinear failed to converge")
            machine.fit(rows, labels)
        real[held_out] = machine.decision_function(truths[held_out].astype(np.float64))
        fake[held_out] = machine.decision_function(results[held_out].astype(np.float64))
    fooled = _above(fake - real)
    mistaken = (_above(-real) + _above(fake)) / 2
    return Discriminability(
        p_ids=float(fooled.mean()), u_ids=float(mistaken.mean()), fooled=fooled, mistaken=mistaken
    )


def _above(decision: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """1 above zero, 0 below, and 0.5 at zero, which is the decision for all images of identical sets."""
    return (np.sign(decision) + 1) / 2


def _machine() -> Any:
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise ConfigError(f"P-IDS and U-IDS need scikit-learn: {pip_install('evaluate')}") from error
    kind: Any = LinearSVC  # Its stubs know `dual` only as a word
    return kind(dual=False)
