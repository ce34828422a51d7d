"""Training a transformer from pictures and from token shards: pictures a second of processor time.

    OMP_NUM_THREADS=1 PYTHONPATH=src python bench/token_shards.py

In processor seconds of one thread; the pictures are decoded in it too. `scheduled` hides tokens of the whole
picture, so nothing else is encoded; `holes` has the default masks with hints, whose infilled pictures are
still encoded in each step.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from two_processes import TOKENIZER, draw_pictures

from maskmend.config import from_dict
from maskmend.pretrained.component import load_tokenizer
from maskmend.training.batches import Batches
from maskmend.training.recipe import Recipe
from maskmend.training.run import build_stage
from maskmend.training.shards.sources import open_pictures
from maskmend.training.shards.tokenizing import Squares, tokenize_pictures

KINDS: dict[str, dict[str, Any]] = {
    "scheduled": {"scheduled": 1.0, "boxes": 0.0, "strokes": 0.0, "random_walk": 0.0},
    "holes": {},
}


def rate(source: Path, kind: str, options: argparse.Namespace) -> float:
    """Pictures a second of processor time."""
    recipe = from_dict(
        Recipe,
        {
            "stage": "transformer",
            "data": {"train": str(source), "validation": str(source)},
            "model": {"codes": 1024, "grid": 16, "layers": options.layers, "hints": kind == "holes"},
            "transformer": {"tokenizer": str(TOKENIZER), **KINDS[kind]},
            "training": {"steps": options.steps + 1, "batch": options.batch, "device": "cpu"},
        },
    )
    stage = build_stage(recipe, torch.device("cpu"))
    images = open_pictures(str(source), stage.resolution, with_tokens=True)
    begun = 0.0
    needed = stage.needs_pictures  # type: ignore[attr-defined]
    with Batches(images, recipe, stage.resolution, 0, 1, with_pictures=needed) as batches:
        for step in range(options.steps + 1):
            if step == 1:
                begun = time.process_time()
            stage.train_step(batches.take(step), step, np.random.default_rng(step))
    return options.steps * options.batch / (time.process_time() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--layers", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        photos, tokens = draw_pictures(Path(name) / "photos", 64), Path(name) / "tokens"
        tokenizer = load_tokenizer(TOKENIZER)
        pictures = open_pictures(str(photos), tokenizer.config.resolution)
        start = time.process_time()
        tokenize_pictures(pictures, tokenizer, tokens, Squares(size=tokenizer.config.resolution))
        print(f"encoding once: {len(pictures) / (time.process_time() - start):.1f} pictures a second")
        for kind in KINDS:
            before, after = rate(photos, kind, options), rate(tokens, kind, options)
            print(json.dumps({kind: {"pictures": before, "tokens": after, "gain": after / before}}))


if __name__ == "__main__":
    main()
