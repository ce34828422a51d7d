"""Training benchmarks: runs of a few steps on synthetic pictures, measured from their logs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from maskmend.config import from_dict, to_dict
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline
from maskmend.training.recipe import Recipe
from maskmend.training.run import run

STEPS = 12
PICTURES = 96
LPIPS = "lpips.safetensors"


def make_pictures(folder: Path, side: int) -> None:
    """Noise at four scales, as PNG files."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def recipe(pipe: InpaintPipeline, stage: str, work: Path, tokenizer: Path, batch: int) -> Recipe:
    """The pipeline's model sizes, with the settings of the bundled model's recipes."""
    folder = str(work / "pictures")
    tables: dict[str, Any] = {
        "stage": stage,
        # Colour augmentation as in the recipes of longer runs: every picture is encoded in every step.
        "data": {"train": folder, "validation": folder, "colour": 0.05},
        "training": {
            "steps": STEPS, "batch": batch, "warmup": 0, "log_every": STEPS - 2, "validation_images": 1,
        },
    }  # fmt: skip
    if stage == "tokenizer":
        # Stage 1 does not see the known pixels.
        tables["model"] = to_dict(pipe.tokenizer.config) | {"known_channels": []}
        tables["tokenizer"] = {
            "perceptual_share": 0.5, "perceptual_weights": str(work / LPIPS), "adversarial_start": 0,
        }  # fmt: skip
    else:
        tables["model"] = to_dict(pipe.transformer.config)
        tables["transformer"] = {"tokenizer": str(tokenizer)}
    return from_dict(Recipe, tables)


def train_once(
    pipe: InpaintPipeline, stage: str, work: Path, tokenizer: Path, batch: int
) -> dict[str, float]:
    """Images per second, MFU and the share of time waiting for data, from one short run."""
    if not (work / LPIPS).is_file():
        make_pictures(work / "pictures", pipe.resolution)
        # Random weights take as long as the published ones, which may not be on this machine.
        with torch.random.fork_rng(devices=[]):
            save_file(Lpips("vgg16").state_dict(), work / LPIPS)
    out = work / f"run-{stage}"
    run(recipe(pipe, stage, work, tokenizer, batch), out, resume=False)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    last = next(line for line in lines if line["kind"] == "train")
    return {name: last[name] for name in ("images_per_second", "mfu", "data_wait")}
