"""Measures what pictures and holes a model is used to, and the limits beyond which a fill gets a note.

Both limits are high percentiles (`fill.familiarity`): about two pictures in a hundred of the model's own
domain get the note by mistake, and one usual hole in a hundred. The pictures should not be those that the
model was trained on.

- The picture: the texture of random squares, from half the model's view, enlarged as in a soft photograph of
  many megapixels, up to the whole picture. It does not depend on the weights.
- The hole: the uncertainty of `blobs`, holes like those of removed objects. It depends on the transformer.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from maskmend.fill.familiarity import Domain, hole_uncertainty
from maskmend.fill.texture import fit_texture, texture_of
from maskmend.masks.generators import blobs
from maskmend.pipeline import InpaintPipeline
from maskmend.progress import Count
from maskmend.training.dataset import cut, draw_box

PERCENTILE = 98.0
"""Of the textures' distances."""
HOLES_PERCENTILE = 99.0
"""Of the holes' uncertainty."""
ENOUGH = 100
"""With fewer pictures, these percentiles are little more than their maxima."""
MOST = 250
"""More pictures hardly change the limits; of more, so many are taken, spread over all."""
HOLES = 100
"""Of these, so many get a hole, whose fill takes longer than the rest."""
VIEWS = 4
"""Squares of each picture."""


def measure_domain(
    pipe: InpaintPipeline,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    learnt: str,
    *,
    progress: Count | None = None,
) -> tuple[Domain, Float[np.ndarray, "N"]]:
    """The domain of a model, and the distances of the views that it was measured with, `VIEWS` a picture.

    Args:
        pictures: at their own size, or reduced to at least the model's resolution; at most `MOST` are taken.
        learnt: a description of the pictures, see `Domain`.
        progress: called with the number of pictures measured so far.

    Raises:
        ConfigError: for a name that `Domain` refuses, before the first picture; for too few pictures, or
            pictures that are all alike.
    """
    Domain(learnt=learnt, distance=1.0)
    textures, uncertainties = [], []
    taken = spread(len(pictures))
    filled = set(spread(len(taken), HOLES))
    for n, index in enumerate(taken):
        picture = np.ascontiguousarray(pictures[index])
        rng = np.random.default_rng(n)
        textures += [_texture(picture, pipe.resolution, rng) for _ in range(VIEWS)]
        if n in filled:
            # Without what changes the picture only: the uncertainty is that of the first prediction.
            mask = blobs(rng, *picture.shape[:2])
            result = pipe(picture, mask, steps=1, detail=0, plain=0.0, seam="hard")
            uncertainties.append(hole_uncertainty(result))
        if progress is not None:
            progress(n + 1)
    usual = fit_texture(textures)
    distances = np.array([usual.distance(texture) for texture in textures])
    return Domain(
        learnt=learnt,
        distance=_rounded(np.percentile(distances, PERCENTILE)),
        texture=usual,
        uncertainty=_rounded(np.percentile(uncertainties, HOLES_PERCENTILE)),
    ), distances


def spread(count: int, most: int = MOST) -> list[int]:
    """Which of `count` pictures are taken: all, or `most` spread evenly."""
    return [n * count // most for n in range(most)] if count > most else list(range(count))


def _texture(
    picture: UInt8[np.ndarray, "H W 3"], resolution: int, rng: np.random.Generator
) -> Float[np.ndarray, "3"]:
    """The texture of a random square of the picture, as the model sees it."""
    side = min(picture.shape[:2])
    box = draw_box(picture.shape[:2], rng, (min(1.0, resolution / 2 / side), 1.0))
    view = cut(picture, resolution, box)
    texture = texture_of([(view, np.ones(view.shape[:2], dtype=bool))])
    assert texture is not None
    return texture


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")
