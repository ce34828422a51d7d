"""Estimates how long training will take on this machine, by timing a few steps before it begins.

The steps run the actual stage on pictures of the run and are discarded; the run starts from scratch. The
first step of each stage is not counted, as it selects kernels and allocates memory.
"""

import time
from dataclasses import replace

import numpy as np

from maskmend.inference.devices import pick_device
from maskmend.training.batches import Batches
from maskmend.training.dataset import ImageSet
from maskmend.training.recipe import Recipe
from maskmend.training.run import build_stage

TIMED = 3


def seconds_a_step(recipe: Recipe, images: ImageSet, steps: int = TIMED) -> float:
    """The median time of `steps` training steps of `recipe` in seconds, with active discriminators."""
    if recipe.decoder is not None:
        recipe = replace(recipe, decoder=replace(recipe.decoder, adversarial_start=0))
    device = pick_device(recipe.training.device)
    stage = build_stage(recipe, device)
    taken = []
    with Batches(images, recipe, stage.resolution, 0, 1) as batches:
        for step in range(1 + steps):
            start = time.perf_counter()
            rng = np.random.default_rng([recipe.training.seed, step, 0, 2])
            figures = stage.train_step(batches.take(step), step, rng)
            float(figures["loss"])  # waits for the device
            taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))
