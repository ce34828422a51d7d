"""Runs of a stage of two weights, and what they leave."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from maskmend.training.dataset import ImageSet
from maskmend.training.loop import TrainingOutcome, train
from maskmend.training.recipe import Recipe
from maskmend.training.stages.stage import Stage

CPU = torch.device("cpu")


class FakeStage:
    """One weight a pixel, pulled towards the pictures, with noise; `events` are called at the start of a
    step."""

    component = "tokenizer"
    resolution = 16

    def __init__(self, validations: tuple[float, ...] = ()) -> None:
        self.weight = torch.zeros(3, 16, 16, requires_grad=True)
        self.optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW([self.weight], lr=1.0)]
        self.validations = list(validations)
        self.events: dict[int, Callable[[], None]] = {}
        self.spoilt: dict[int, str] = {}
        self.exports: list[Tensor] = []

    def train_step(self, parts: list[Tensor], step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        self.events.get(step, lambda: None)()
        noise = torch.from_numpy(rng.standard_normal(self.weight.shape)).float()
        loss = sum((self.weight - part.mean(0) + 0.1 * noise).square().mean() for part in parts) / len(parts)
        self.optimizers[0].zero_grad()
        loss.backward()
        figures = {"loss": loss.detach(), "gradient": self.weight.grad.norm()}
        if step in self.spoilt:
            figures[self.spoilt[step]] = torch.tensor(float("nan"))
            self.weight.grad.fill_(float("nan"))
        self.optimizers[0].step()
        return figures

    def validate(self, batches: list[Tensor]) -> dict[str, float]:
        assert sum(len(batch) for batch in batches) == 3
        return {
            "loss": self.validations.pop(0) if self.validations else self.weight.detach().abs().mean().item()
        }

    def pictures(self, images: Tensor) -> Image.Image:
        return Image.new("RGB", (2, 2))

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight.detach(), "optimizer": self.optimizers[0].state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            self.weight.copy_(state["weight"])
        self.optimizers[0].load_state_dict(state["optimizer"])

    def export(self, folder: Path) -> None:
        self.exports.append(self.weight.detach().clone())


def go(recipe: Recipe, stage: Stage, out: Path, **options: Any) -> TrainingOutcome:
    train_images = ImageSet(recipe.data.train, stage.resolution)
    validation = ImageSet(recipe.data.validation, stage.resolution)
    return train(
        recipe, stage, out, train_images=train_images, validation_images=validation, device=CPU, **options
    )


def same(a: Any, b: Any) -> bool:
    """Whether two states are equal to the bit."""
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def stop_at(stage: Any, step: int, number: int = signal.SIGTERM) -> None:
    """Lets a signal arrive in the middle of training step `step` (from 0)."""
    inner = stage.train_step

    def interrupted(parts: list[Tensor], now: int, rng: np.random.Generator) -> dict[str, Tensor]:
        if now == step:
            signal.raise_signal(number)
        return inner(parts, now, rng)

    stage.train_step = interrupted
