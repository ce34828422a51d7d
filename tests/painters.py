"""Methods whose fills are known, and features and a distance of a few lines, for the photographs' tests."""

import numpy as np
import torch

from maskmend.experiments.photographs.methods import Method


def small_features(images: np.ndarray) -> np.ndarray:
    """Mean colours of a 2 x 2 grid: (B, 12)."""
    b, h, w, _ = images.shape
    return images.reshape(b, 2, h // 2, 2, w // 2, 3).mean((2, 4)).reshape(b, 12).astype(np.float32)


def mean_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).abs().mean((1, 2, 3))


class Painter:
    """Fills with one grey level plus the seed, and counts how often it was asked."""

    def __init__(self, level: int, *, known: int = 0) -> None:
        self.level, self.known, self.calls = level, known, 0

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
        self.calls += 1
        changed = np.clip(image.astype(int) + self.known, 0, 255).astype(np.uint8)
        return np.where(mask[:, :, None], np.uint8(self.level + seed), changed)


def method(name: str, level: int, *, ours: bool = False, known: int = 0, **changes: object) -> Method:
    fill = Painter(level, known=known)
    return Method(name=name, identity={"level": level} | changes, fill=fill, ours=ours)
