"""KID: the kernel distance between two sets of features (Binkowski, Sutherland, Arbel, Gretton 2018).

    KID = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)
    k(x, y) = (x . y / D + 1)^3

Unlike FID it is unbiased on small sets, and can be a little below zero. It is computed on all images at once;
the paper's averaging over subsets serves sets too large for that. Where a bootstrap repetition holds an image
twice, the image is not compared with itself, or the estimate would lose its unbiasedness.
"""

import numpy as np
from jaxtyping import Float, Int

from maskmend.errors import DataError
from maskmend.metrics.bootstrap import Interval, bootstrap


def polynomial_kernel(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]) -> Float[np.ndarray, "N M"]:
    """k(x_i, y_j) for each pair of rows, in float64."""
    return (x.astype(np.float64) @ y.astype(np.float64).T / x.shape[1] + 1) ** 3


def _within(kernel: Float[np.ndarray, "N N"], counts: Int[np.ndarray, "N"]) -> float:
    """The mean over pairs of different images."""
    weights = counts.astype(np.float64)
    pairs = weights.sum() ** 2 - np.square(weights).sum()
    if pairs == 0:
        # One image drawn every time; the chance is n^(1-n), but a set of two images meets it
        return float(weights @ np.diag(kernel) / weights.sum())
    return float((weights @ kernel @ weights - np.square(weights) @ np.diag(kernel)) / pairs)


def _checked(results: np.ndarray, truths: np.ndarray) -> None:
    for rows in (results, truths):
        if rows.ndim != 2 or rows.shape[0] < 2:
            raise DataError(f"features of shape {rows.shape}: KID needs at least 2 images in each set")
    if results.shape[1] != truths.shape[1]:
        raise DataError(
            f"features of width {results.shape[1]} and {truths.shape[1]}: use one network for both sets"
        )


def kid_interval(
    results: Float[np.ndarray, "N D"],
    truths: Float[np.ndarray, "M D"],
    *,
    repeats: int = 100,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """KID with its bootstrap interval, drawn by pairs if the sets are equally long (as FID's)."""
    _checked(results, truths)
    k_xx, k_yy = polynomial_kernel(results, results), polynomial_kernel(truths, truths)
    k_xy = polynomial_kernel(results, truths)
    paired = results.shape[0] == truths.shape[0]
    everyone = np.ones(truths.shape[0], dtype=np.int64)

    def figure(counts: Int[np.ndarray, "N"]) -> float:
        other = counts if paired else everyone
        across = float(counts @ k_xy @ other) / (counts.sum() * other.sum())
        return _within(k_xx, counts) + _within(k_yy, other) - 2 * across

    return bootstrap(figure, results.shape[0], repeats=repeats, seed=seed, level=level)


def kid(results: Float[np.ndarray, "N D"], truths: Float[np.ndarray, "M D"]) -> float:
    """The unbiased KID between two sets of features. DataError for fewer than two images in either."""
    _checked(results, truths)
    k_xy = polynomial_kernel(results, truths)
    ones_x, ones_y = np.ones(len(results), dtype=np.int64), np.ones(len(truths), dtype=np.int64)
    within = _within(polynomial_kernel(results, results), ones_x) + _within(
        polynomial_kernel(truths, truths), ones_y
    )
    return within - 2 * float(k_xy.mean())
