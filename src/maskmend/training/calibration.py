"""Measures the limit beyond which a picture counts as unlike the training data.

It is a high percentile of the quantization distances (`fill.familiarity`) of pictures like the training data:
one picture in a hundred of the model's own domain gets the note by mistake. The pictures should not be those
that the model was trained on.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maskmend.fill.familiarity import Domain, quantization_distance
from maskmend.images.tensors import to_tensor
from maskmend.models.vqgan import VQGAN
from maskmend.progress import Count
from maskmend.training.dataset import crop

PERCENTILE = 99.0
ENOUGH = 100
"""With fewer pictures, that percentile is little more than their maximum."""


def measure_domain(
    tokenizer: VQGAN,
    pictures: Sequence[UInt8[np.ndarray, "H W 3"]],
    learnt: str,
    *,
    progress: Count | None = None,
) -> tuple[Domain, Float[np.ndarray, "N"]]:
    """The domain of a model with this tokenizer, and the distance of each picture.

    Args:
        tokenizer: in eval mode.
        pictures: with the tokenizer's resolution as their shorter side; their central square is taken.
        learnt: a description of the pictures, see `Domain`.
        progress: called with the number of pictures measured so far.

    Raises:
        ConfigError: for a name that `Domain` refuses, before the first picture.
    """
    Domain(learnt=learnt, distance=1.0)
    device = next(tokenizer.parameters()).device
    distances = np.zeros(len(pictures))
    for n, picture in enumerate(pictures):
        square = np.ascontiguousarray(crop(picture, tokenizer.config.resolution, None))
        distances[n] = _distance(tokenizer, to_tensor(square).to(device))
        if progress is not None:
            progress(n + 1)
    limit = np.percentile(distances, PERCENTILE)
    return Domain(learnt=learnt, distance=float(f"{limit:.4g}")), distances


@torch.inference_mode()
def _distance(tokenizer: VQGAN, image: Float[Tensor, "1 3 H W"]) -> float:
    """Of a picture without a hole, encoded as a fill would encode it."""
    distances = tokenizer.encode_with_distances(image)[1].flatten()
    found = quantization_distance([distances], [torch.zeros_like(distances, dtype=torch.bool)])
    assert found is not None
    return found
