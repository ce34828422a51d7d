"""Trains the rows of the ablation at equal size, steps and data; rows of one recipe share a training."""

import json
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import torch

from maskmend.config import to_dict
from maskmend.errors import TrainingError
from maskmend.experiments.ablation.ingredients import Ingredient
from maskmend.models.transformer import MaskedTransformer
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.component import load_tokenizer
from maskmend.pretrained.lookup import component_folder
from maskmend.progress import Count, StageProgress
from maskmend.settings import Settings
from maskmend.training import checkpoint
from maskmend.training.dataset import ImageSet
from maskmend.training.loop import train
from maskmend.training.recipe import Recipe
from maskmend.training.run import build_stage, configured
from maskmend.training.run_config import DataConfig, TrainingConfig
from maskmend.training.stage_config import TransformerTraining
from maskmend.training.stages.token_cache import TokenCache
from maskmend.training.stages.transformer import TRANSFORMERS, TransformerStage


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What all trainings of a study have in common."""

    train: str
    """Folder or tar file of training pictures."""
    validation: str
    """Likewise, for the validation loss in metrics.jsonl, which is not used for selection."""
    tokenizer: Path
    """Folder of a model or of its tokenizer."""
    codes: int = 1024
    """Of that tokenizer."""
    grid: int = 16
    """Likewise."""
    steps: int = 350
    batch: int = 16
    lr: float = 1e-3
    warmup: int = 50
    ema: float = 0.99
    seed: int = 0
    dim: int = 96
    heads: int = 3
    layers: int = 3
    mlp: int = 288

    def recipe(self, ingredient: Ingredient) -> Recipe:
        """The recipe of the ingredient's training."""
        tokens = {"codes": self.codes, "grid": self.grid}
        size = {"dim": self.dim, "heads": self.heads, "layers": self.layers, "mlp": self.mlp}
        return Recipe(
            stage="transformer",
            data=DataConfig(train=self.train, validation=self.validation),
            training=TrainingConfig(
                steps=self.steps,
                batch=self.batch,
                lr=self.lr,
                warmup=self.warmup,
                ema=self.ema,
                seed=self.seed,
                beta2=0.98,
                validate_every=self.steps,
                picture_every=self.steps,
                checkpoint_every=100,
                validation_images=64,
                keep="last",
                precision="fp32",
                device="cpu",
            ),
            preset="small",
            model=size | tokens | ingredient.model,
            transformer=TransformerTraining(tokenizer=str(self.tokenizer), **ingredient.training),
        )


@dataclass(kw_only=True)
class Trainings:
    """Trains in `folder` what has not been trained there yet, and returns pipelines."""

    budget: Budget
    folder: Path
    _places: dict[str, Path] = field(default_factory=dict)
    _images: dict[str, ImageSet] = field(default_factory=dict)
    _tokens: TokenCache = field(default_factory=lambda: TokenCache(infilled=True))

    def __post_init__(self) -> None:
        self._tokenizer = load_tokenizer(component_folder(self.budget.tokenizer, "tokenizer"))

    def place(self, ingredient: Ingredient) -> Path:
        """The run folder of an ingredient's training: that of its recipe, or the first that is free."""
        wanted = to_dict(self.budget.recipe(ingredient))
        key = json.dumps(wanted, sort_keys=True)
        for number in count(1):
            if key in self._places:
                break
            place = self.folder / f"{number:02}"
            taken = place in self._places.values()
            if not taken and (not (place / "last.pt").is_file() or _recipe(place) == wanted):
                self._places[key] = place
        return self._places[key]

    def pipeline(self, ingredient: Ingredient, progress: StageProgress) -> InpaintPipeline:
        """The ingredient's model with the ingredient's settings as its defaults; trains it, or resumes its
        training, where needed.

        Raises TrainingError when a signal stopped the training; it was saved and the next call resumes it.
        """
        place, recipe = self.place(ingredient), self.budget.recipe(ingredient)
        content = checkpoint.read(place / "last.pt") if (place / "last.pt").is_file() else None
        if content is None or content["step"] < self.budget.steps:
            self._train(
                place, recipe, lambda step: progress(f"training {place.name}", step, self.budget.steps)
            )
            content = checkpoint.read(place / "last.pt")
        model = MaskedTransformer(configured(TRANSFORMERS, recipe))
        model.load_state_dict(content["stage"]["ema" if ingredient.averaged else "model"])
        return InpaintPipeline(self._tokenizer, model, Settings(**ingredient.settings))

    def _train(self, place: Path, recipe: Recipe, progress: Count) -> None:
        stage = build_stage(recipe, torch.device("cpu"))
        assert isinstance(stage, TransformerStage)
        stage.use_cache(self._tokens)
        for source in (self.budget.train, self.budget.validation):
            if source not in self._images:
                self._images[source] = ImageSet(source, stage.resolution)
        outcome = train(
            recipe,
            stage,
            place,
            train_images=self._images[self.budget.train],
            validation_images=self._images[self.budget.validation],
            device=torch.device("cpu"),
            on_metrics=lambda kind, values: progress(int(values["step"])),
        )
        if not outcome.finished:
            raise TrainingError(f"stopped and saved at step {outcome.step}: the same command resumes it")


def _recipe(place: Path) -> dict[str, Any]:
    return checkpoint.read(place / "last.pt")["recipe"]
