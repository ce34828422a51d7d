"""Cases of training: runs of a few steps on made-up pictures, judged by what the run itself tells."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskmend.config import from_dict
from maskmend.training.recipe import Recipe
from maskmend.training.run import run

STEPS = 12
PICTURES = 96


def make_pictures(folder: Path, side: int) -> None:
    """Noise at four scales, as PNG files."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def recipe(stage: str, folder: Path, tokenizer: Path, batch: int) -> Recipe:
    """The shipped model's shapes. The perceptual network, which is no part of the model, is left out."""
    tables: dict[str, Any] = {
        "stage": stage,
        # Colours vary as in the recipes of longer trainings: every picture is encoded in every step.
        "data": {"train": str(folder), "validation": str(folder), "colour": 0.05},
        "training": {
            "steps": STEPS, "batch": batch, "warmup": 0, "log_every": STEPS - 2, "validation_images": 1,
        },
    }  # fmt: skip
    if stage == "tokenizer":
        tables["model"] = {"decoder_blocks": 1}
        tables["tokenizer"] = {"perceptual": 0.0, "adversarial_start": 0}
    else:
        tables["model"] = {"dim": 192, "heads": 6, "mlp": 576}
        tables["transformer"] = {"tokenizer": str(tokenizer)}
    return from_dict(Recipe, tables)


def train_once(stage: str, work: Path, tokenizer: Path, batch: int) -> dict[str, float]:
    """Images a second, MFU and the share of waiting for data of one short run."""
    pictures = work / "pictures"
    if not pictures.is_dir():
        make_pictures(pictures, 64)
    out = work / f"run-{stage}"
    run(recipe(stage, pictures, tokenizer, batch), out, resume=False)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    told = next(line for line in lines if line["kind"] == "train")
    return {name: told[name] for name in ("images_per_second", "mfu", "data_wait")}
