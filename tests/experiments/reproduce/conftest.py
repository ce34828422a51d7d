"""A test set of ten small pictures and a runner with features and a distance of a few lines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fakes import box_mask, smooth_pixels
from maskmend.experiments.reproduce.dataset import TestSet
from maskmend.experiments.reproduce.trial import TrialRunner
from maskmend.pipeline import InpaintPipeline


def small_features(images: np.ndarray) -> np.ndarray:
    """Mean colours of a 2 x 2 grid: (B, 12)."""
    b, h, w, _ = images.shape
    return images.reshape(b, 2, h // 2, 2, w // 2, 3).mean((2, 4)).reshape(b, 12).astype(np.float32)


def mean_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).abs().mean((1, 2, 3))


def ten_pictures() -> TestSet:
    images = [smooth_pixels(16, 16, seed) for seed in range(10)]
    masks = [box_mask(16, 16, 2 + n % 3, 4, 10, 12) for n in range(10)]
    return TestSet(images=images, masks=masks)


def runner_of(pipe: InpaintPipeline, folder: Path, /, **changes: Any) -> TrialRunner:
    given: dict[str, Any] = {
        "data": ten_pictures(),
        "pipe": pipe,
        "extract": small_features,
        "distance": mean_distance,
        "folder": folder / "trials",
        "repeats": 5,
    }
    return TrialRunner(**(given | changes))


@pytest.fixture
def test_set() -> TestSet:
    return ten_pictures()


@pytest.fixture
def make_runner(tiny_pipeline: InpaintPipeline, tmp_path: Path) -> Callable[..., TrialRunner]:
    return lambda **changes: runner_of(tiny_pipeline, tmp_path, **changes)
