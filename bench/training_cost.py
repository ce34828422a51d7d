"""CPU seconds that a training step takes for each picture, by stage and by what the model sees.

    OMP_NUM_THREADS=1 python bench/training_cost.py

Networks and losses of the recipes `your-folder`, in bfloat16, discriminators at work, random pictures, few a
step; the faster of two steps after a first one. CPU time of the process: other work on the machine changes it
by what it does to caches alone.
"""

import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from maskmend.config import from_dict
from maskmend.training.recipe import Recipe
from maskmend.training.run import build_stage

RECIPES = Path(__file__).parent.parent / "recipes" / "your-folder"
STAGES = ("tokenizer", "transformer", "decoder")
EIGHT = {
    "encoder_channels": [32, 32, 64, 128, 128],
    "downsample_after": [1, 2, 3],
    "decoder_channels": [128, 128, 96, 48],
    "upsample_after": [1, 2, 3],
}
"""Three halvings: a token for 8 x 8 pixels."""
SIZES: dict[str, tuple[int, dict[str, Any], int]] = {
    "64 pixels, tokens of 4": (64, {}, 8),
    "128 pixels, tokens of 4": (128, {}, 4),
    "128 pixels, tokens of 8": (128, EIGHT, 4),
    "256 pixels, tokens of 8": (256, EIGHT, 2),
}
"""Side, changes of [model], pictures a step."""


def recipe_of(stage: str, side: int, model: dict[str, Any], batch: int, folder: Path) -> Recipe:
    content = tomllib.loads((RECIPES / f"{STAGES.index(stage) + 1:02d}-{stage}.toml").read_text())
    content["training"] |= {"batch": batch, "precision": "bf16", "threads": 1}
    if stage == "tokenizer":
        content["model"] |= {"resolution": side, **model}
        content[stage] |= {"quantize_from": 0, "adversarial_start": 0}
    else:
        content[stage]["tokenizer"] = str(folder)
    if stage == "decoder":
        content[stage] |= {"transformer": str(folder), "adversarial_start": 0}
    return from_dict(Recipe, content)


def main() -> None:
    torch.set_num_threads(1)
    for name, (side, model, batch) in SIZES.items():
        with tempfile.TemporaryDirectory() as temporary:
            seconds = []
            for stage in STAGES:
                trained = build_stage(
                    recipe_of(stage, side, model, batch, Path(temporary)), torch.device("cpu")
                )
                coarse = torch.rand(batch, 3, side // 8, side // 8) * 2 - 1
                pictures = F.interpolate(coarse, (side, side), mode="bilinear")
                taken = []
                for step in range(3):
                    start = time.process_time()
                    trained.train_step([pictures], step, np.random.default_rng(step))
                    taken.append(time.process_time() - start)
                trained.export(Path(temporary) / trained.component)
                seconds.append(min(taken[1:]) / batch)
        told = ", ".join(f"{stage} {value:.3f} s" for stage, value in zip(STAGES, seconds, strict=True))
        print(f"{name}: {told}", flush=True)


if __name__ == "__main__":
    main()
