"""FID: the Frechet distance between two sets of features, each modelled as a Gaussian (Heusel et al. 2017).

    FID = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)

No general matrix square root is needed: C1 C2 has the same eigenvalues as the symmetric matrix
sqrt(C1) C2 sqrt(C1), whose eigendecomposition in float64 is always real, without the small diagonal term that
others add. For the bootstrap there is a shorter way. With centred feature rows A and B, C1 = A'A and
C2 = B'B, the trace is the sum of the singular values of A B', a matrix of images by images whose entries all
come from one Gram matrix. So a repetition costs one small decomposition and no pass over the features.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from maskmend.errors import DataError
from maskmend.metrics.bootstrap import Interval, bootstrap_draws, centred_interval


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Mean and covariance of a set of features."""

    mean: Float[np.ndarray, "D"]
    """(D,) float64."""
    covariance: Float[np.ndarray, "D D"]
    """(D, D) float64, with N - 1 in the denominator."""


def gaussian(features: Float[np.ndarray, "N D"]) -> Gaussian:
    """Mean and covariance in float64. DataError for fewer than two rows or values that are not finite."""
    rows = _checked(features)
    return Gaussian(mean=rows.mean(axis=0), covariance=np.atleast_2d(np.cov(rows, rowvar=False)))


def matrix_root(matrix: Float[np.ndarray, "D D"]) -> Float[np.ndarray, "D D"]:
    """The symmetric root of a symmetric positive semi-definite matrix; eigenvalues below 0 count as 0."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def trace_of_root(c1: Float[np.ndarray, "D D"], c2: Float[np.ndarray, "D D"]) -> float:
    """tr (C1 C2)^(1/2) of two covariances."""
    root = matrix_root(c1)
    product = root @ c2 @ root
    return float(np.sqrt(np.clip(np.linalg.eigvalsh((product + product.T) / 2), 0, None)).sum())


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """The squared Frechet distance; 0 for equal Gaussians, symmetric. DataError if the widths differ."""
    if a.mean.shape != b.mean.shape:
        raise DataError(f"features of width {a.mean.size} and {b.mean.size}: use one network for both sets")
    gap = float(np.square(a.mean - b.mean).sum())
    spread = float(np.trace(a.covariance) + np.trace(b.covariance))
    # Rounding may leave a tiny negative rest where the sets are equal
    return max(gap + spread - 2 * trace_of_root(a.covariance, b.covariance), 0.0)


def fid(results: Float[np.ndarray, "N D"], truths: Float[np.ndarray, "M D"]) -> float:
    """FID between two sets of features, each (images, width). DataError for fewer than two images."""
    return frechet_distance(gaussian(results), gaussian(truths))


def fid_interval(
    results: Float[np.ndarray, "N D"],
    truths: Float[np.ndarray, "M D"],
    *,
    repeats: int = 100,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """FID with its bootstrap interval.

    Sets of equal length are taken as pairs (a result and its truth) and drawn together, since the images two
    sets share make their distance steadier; otherwise only the results are drawn and the truths stay as they
    are.
    """
    return centred_interval(*fid_draws(results, truths, repeats=repeats, seed=seed), level)


def fid_draws(
    results: Float[np.ndarray, "N D"], truths: Float[np.ndarray, "M D"], *, repeats: int, seed: int
) -> tuple[float, Float[np.ndarray, "R"]]:
    """FID, and FID of `repeats` redrawn sets, as `fid_interval` draws them."""
    x, y = _checked(results), _checked(truths)
    if x.shape[1] != y.shape[1]:
        raise DataError(f"features of width {x.shape[1]} and {y.shape[1]}: use one network for both sets")
    # Around a common origin the Gram entries are small, and with them the rounding
    origin = y.mean(axis=0)
    x, y = x - origin, y - origin
    gram = x @ y.T
    gram_x, gram_y = x @ x.T, y @ y.T
    paired = x.shape[0] == y.shape[0]
    everyone = np.ones(y.shape[0], dtype=np.int64)

    def figure(counts: Int[np.ndarray, "N"]) -> float:
        return _fid_from_grams(gram, gram_x, gram_y, counts, counts if paired else everyone)

    return bootstrap_draws(figure, x.shape[0], repeats=repeats, seed=seed)


def _fid_from_grams(
    gram: Float[np.ndarray, "N M"],
    gram_x: Float[np.ndarray, "N N"],
    gram_y: Float[np.ndarray, "M M"],
    count_x: Int[np.ndarray, "N"],
    count_y: Int[np.ndarray, "M"],
) -> float:
    """FID from inner products alone; image i of the first set counts count_x[i] times, and so on."""
    n, m = int(count_x.sum()), int(count_y.sum())
    share_x, share_y = count_x / n, count_y / m
    # <x_i - mean x, y_j - mean y>, and the squared lengths of the means
    to_mean_y, to_mean_x = gram @ share_y, share_x @ gram
    means = float(share_x @ gram @ share_y)
    centred = gram - to_mean_y[:, None] - to_mean_x[None, :] + means
    length_x, length_y = float(share_x @ gram_x @ share_x), float(share_y @ gram_y @ share_y)
    gap = length_x + length_y - 2 * means
    trace_x = (float(share_x @ np.diag(gram_x)) - length_x) * n / (n - 1)
    trace_y = (float(share_y @ np.diag(gram_y)) - length_y) * m / (m - 1)
    # Images drawn k times weigh sqrt(k) in their row; those not drawn fall out
    drawn_x, drawn_y = count_x > 0, count_y > 0
    block = centred[np.ix_(drawn_x, drawn_y)]
    block = (
        block * np.sqrt(count_x[drawn_x] / (n - 1))[:, None] * np.sqrt(count_y[drawn_y] / (m - 1))[None, :]
    )
    root = float(np.linalg.svd(block, compute_uv=False).sum())
    return max(gap + trace_x + trace_y - 2 * root, 0.0)


def _checked(features: Shaped[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[0] < 2:
        raise DataError(f"features of shape {rows.shape}: a covariance needs at least 2 images")
    if not np.isfinite(rows).all():
        raise DataError("some features are not finite: check the images and the network they came from")
    return rows
