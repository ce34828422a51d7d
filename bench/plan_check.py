"""What `maskmend train --plan` says, and what a run then takes: memory and processor seconds a step.

    OMP_NUM_THREADS=1 PYTHONPATH=src python bench/plan_check.py

Processor seconds of one thread, so that other work on the machine changes them little. The memory is the
peak of the process (getrusage) less what it had before the stage was built; the plan is made in another
process, whose memory does not count. The C library is told to give back at once what is freed
(MALLOC_MMAP_THRESHOLD_), and the plan's share of freed blocks left out; with `--as-usual` both are as in any
run. The status is 1 where plan and run differ by more than 15 % in memory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from two_processes import TOKENIZER

from maskmend.config import from_dict
from maskmend.training.plan import make_plan
from maskmend.training.recipe import Recipe
from maskmend.training.run import build_stage


def recipe_of(options: argparse.Namespace) -> Recipe:
    model = {"dim": options.dim, "mlp": 4 * options.dim, "layers": options.layers, "codes": 1024, "grid": 16}
    return from_dict(
        Recipe,
        {
            "stage": "transformer",
            "data": {"train": "", "validation": "", "crop_scale": 0.5},
            "model": model,
            "transformer": {"tokenizer": str(TOKENIZER)},
            "training": {"steps": 1, "batch": options.batch, "device": "cpu"},
        },
    )


def planned(options: argparse.Namespace) -> dict[str, Any]:
    plan = make_plan(recipe_of(options), clock=time.process_time)
    size = plan.memory if options.as_usual else plan.allocated
    return {"bytes": size - plan.tokenizer, "seconds": plan.seconds, "weights": plan.parameters}


def measured(options: argparse.Namespace) -> dict[str, Any]:
    recipe = recipe_of(options)
    shape = options.batch, 3, 64, 64
    pictures = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    # Before, a step of the smallest such model: the tokenizer, its encoder's buffers and libraries.
    first = recipe_of(argparse.Namespace(**vars(options) | {"dim": 64, "layers": 1}))
    build_stage(first, torch.device("cpu")).train_step([pictures], 0, np.random.default_rng(0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stage = build_stage(recipe, torch.device("cpu"))
    stage.train_step([pictures], 0, np.random.default_rng(0))
    start = time.process_time()
    for step in range(1, options.steps + 1):
        stage.train_step([pictures], step, np.random.default_rng(step))
    seconds = (time.process_time() - start) / options.steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"bytes": (peak - before) * 1024, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--as-usual", action="store_true")
    parser.add_argument("--only", choices=["planned", "measured"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.only:
        print(json.dumps({"planned": planned, "measured": measured}[options.only](options)))
        return
    found = {}
    for part in ("planned", "measured"):
        given = [f"--{name}={getattr(options, name)}" for name in ("dim", "layers", "batch", "steps")]
        given += ["--as-usual"] if options.as_usual else []
        command = [sys.executable, __file__, *given, "--only", part]
        gives_back = {} if part == "planned" or options.as_usual else {"MALLOC_MMAP_THRESHOLD_": "65536"}
        said = subprocess.run(command, env=os.environ | gives_back, capture_output=True, check=True).stdout
        found[part] = json.loads(said)
    for name in ("bytes", "seconds"):
        found[f"planned/measured {name}"] = found["planned"][name] / found["measured"][name]
    print(json.dumps(found, indent=1))
    if not 0.85 < found["planned/measured bytes"] < 1.15:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
