"""What the tests of training share: pictures of 16 x 16 pixels, recipes of a few steps, a tokenizer of 16
codes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from maskmend.config import from_dict, merge
from maskmend.models.vqgan import VQGAN
from maskmend.pretrained.component import save_tokenizer
from maskmend.training.recipe import Recipe
from maskmend.training.run import TOKENIZERS, configured

SIDE = 16
TOKENIZER_MODEL = {
    "resolution": SIDE,
    "encoder_channels": [8, 8, 8],
    "decoder_channels": [8, 8],
    "decoder_blocks": 1,
    "downsample_after": [1, 2],
    "upsample_after": [1, 2],
    "quantizer": {"codes": 16, "code_dim": 4},
}
TRANSFORMER_MODEL = {"codes": 16, "grid": 4, "dim": 16, "heads": 2, "layers": 2, "mlp": 32}
MODELS: dict[str, dict[str, Any]] = {
    "tokenizer": TOKENIZER_MODEL,
    "transformer": TRANSFORMER_MODEL,
    "decoder": {"known_channels": [8, 8, 8]},
}
TRAINING = {
    "steps": 10,
    "batch": 4,
    "lr": 1e-3,
    "warmup": 2,
    "log_every": 2,
    "validate_every": 4,
    "checkpoint_every": 4,
    "picture_every": 8,
    "validation_images": 3,
}

MakeRecipe = Callable[..., Recipe]


def write_pictures(folder: Path, count: int, seed: int) -> Path:
    """Smooth coloured pictures, each different, so that tokens differ too."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((SIDE + number % 3, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train` (6 pictures) and `validation` (3)."""
    folder = tmp_path_factory.mktemp("photos")
    write_pictures(folder / "train", 6, seed=0)
    write_pictures(folder / "validation", 3, seed=1)
    return folder


@pytest.fixture(scope="session")
def make_recipe(photos: Path, tokenizer_folder: Path) -> MakeRecipe:
    """make_recipe(stage, training={...}, tokenizer={...}, ...): a tiny recipe with changes."""

    def make(stage: str, **tables: dict[str, Any]) -> Recipe:
        base: dict[str, Any] = {
            "stage": stage,
            "data": {"train": str(photos / "train"), "validation": str(photos / "validation")},
            "training": TRAINING,
            "model": MODELS[stage],
            "tokenizer": {"perceptual": 0.0, "discriminator_channels": 8, "discriminator_layers": 1},
        }
        if stage == "transformer":
            base["transformer"] = {"tokenizer": str(tokenizer_folder)}
        if stage == "decoder":
            base["decoder"] = {"tokenizer": str(tokenizer_folder), "perceptual": 0.0, "adversarial": 0.0}
        return from_dict(Recipe, merge(base, tables))

    return make


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained tokenizer whose codes lie on its own latents, so that pictures get different tokens."""
    recipe = from_dict(
        Recipe,
        {
            "stage": "tokenizer",
            "data": {"train": "", "validation": ""},
            "training": {"steps": 1},
            "model": TOKENIZER_MODEL,
        },
    )
    torch.manual_seed(0)
    model = VQGAN(configured(TOKENIZERS, recipe)).train()
    model(torch.rand(8, 3, SIDE, SIDE) * 2 - 1, torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("tokenizer-run") / "tokenizer"
    save_tokenizer(model.eval(), folder)
    return folder


@pytest.fixture(scope="session")
def batch() -> torch.Tensor:
    """Four pictures in [-1, 1], (4, 3, 16, 16)."""
    coarse = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(5)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
