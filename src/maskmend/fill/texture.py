"""The texture of a picture: how much neighbouring pixels differ, and how unusual that is for a model.

    t = (sqrt(e), log(d1), log(d2 / d1))        e   the share of neighbours that are equal, to a grey level
                                                d_n the mean difference, in grey levels, of pixels n apart
    distance = sqrt((t - mean)^T precision (t - mean))

Photographs differ little in t, whatever they show: their contrast grows with distance, and few pixels equal
their neighbours. Drawings, charts, text and screenshots have large areas of one colour, noise has as much
contrast at one pixel as at two. The distance is the Mahalanobis distance from the pictures of the model's
domain. It depends on what the model sees alone, not on its weights, so that a model
that is trained on keeps its limit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from maskmend.errors import ConfigError

View = tuple[UInt8[np.ndarray, "R R 3"], Bool[np.ndarray, "R R"]]
"""What the model sees, in grey levels, and True where it is known."""

SIZE = 3
ROUNDING = 0.3
"""Added to the differences, as large as the rounding to grey levels. It keeps plain areas finite."""


@dataclass(frozen=True, kw_only=True)
class Texture:
    """The usual texture of the pictures a model learnt."""

    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    """Inverse of the covariance."""

    def __post_init__(self) -> None:
        rows = (self.mean, *self.precision)
        if len(self.precision) != SIZE or any(len(row) != SIZE for row in rows):
            raise ConfigError(f"texture: give {SIZE} numbers as mean and {SIZE} rows of {SIZE} as precision")
        if not all(math.isfinite(number) for row in rows for number in row):
            raise ConfigError("texture: give finite numbers")
        matrix = np.array(self.precision)
        if not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix).min() <= 0:
            raise ConfigError("texture: give a symmetric, positive definite precision")

    def distance(self, texture: Float[np.ndarray, "3"]) -> float:
        """How far a texture is from the usual one."""
        apart = texture - np.array(self.mean)
        return float(np.sqrt(apart @ np.array(self.precision) @ apart))


def fit_texture(textures: Sequence[Float[np.ndarray, "3"]]) -> Texture:
    """The usual texture among those of some views. Raises ConfigError if they do not vary."""
    if len(textures) <= SIZE:
        raise ConfigError(f"{len(textures)} views of pictures: give more pictures")
    covariance = np.cov(np.stack(textures), rowvar=False)
    if np.linalg.eigvalsh(covariance).min() <= 1e-9:
        raise ConfigError(
            "the pictures are too much alike to measure how much such pictures differ: give others"
        )
    precision = np.linalg.inv(covariance)
    precision = (precision + precision.T) / 2
    return Texture(
        mean=tuple(_rounded(number) for number in np.mean(textures, axis=0)),
        precision=tuple(tuple(_rounded(number) for number in row) for row in precision),
    )


def texture_of(views: Sequence[View]) -> Float[np.ndarray, "3"] | None:
    """The texture of what is known in the views; None without neighbours that are both known."""
    near = far = pairs = far_pairs = equal = 0
    for levels, known in views:
        signed = levels.astype(np.int64)
        for pixels, mask in ((signed, known), (signed.swapaxes(0, 1), known.T)):
            steps = np.abs(pixels[1:] - pixels[:-1])[mask[1:] & mask[:-1]]
            near, pairs = near + int(steps.sum()), pairs + len(steps)
            equal += int((steps <= 1).all(axis=1).sum())
            steps = np.abs(pixels[2:] - pixels[:-2])[mask[2:] & mask[:-2]]
            far, far_pairs = far + int(steps.sum()), far_pairs + len(steps)
    if pairs == 0 or far_pairs == 0:
        return None
    one, two = near / (3 * pairs) + ROUNDING, far / (3 * far_pairs) + ROUNDING
    return np.array([math.sqrt(equal / pairs), math.log(one), math.log(two / one)])


def _rounded(number: float) -> float:
    return float(f"{number:.9g}")  # digits enough that the inverse stays one
