"""Kills training runs, fine-tunings, folder runs, bulk runs and conversions at random moments, and starts the
same command again until it is done.

    python tests/guards/kill_run.py --kills 200

SIGKILL leaves a process no time for anything: what lies on the disk at that moment is all there is. Each run
that was killed, however often, must come to the files of a run that was left alone, bit for bit, and leave no
temporary ones. Every attempt is a fork of this process, which has imported everything: so kills come
within the work, not within the imports. The exit status is 1 if anything differs, or a command fails.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from PIL import Image

import restated_mage
from fakes import TINY_TOKENIZER, smooth_pixels, tiny_models
from finetuning import StillPerceptual, write_photos
from maskmend.cli import main as maskmend
from maskmend.pipeline import InpaintPipeline
from maskmend.training import run as training
from maskmend.training.finetune import pack, plan
from maskmend.training.finetune import run as finetuning

SIDE = 16
RUN = """
[data]
train = "{train}"
validation = "{validation}"
[training]
steps = 30
batch = 4
lr = 1e-3
warmup = 2
log_every = 2
validate_every = 6
checkpoint_every = 3
picture_every = 10
validation_images = 3
"""
TOKENIZER = """
stage = "tokenizer"
{tokenizer}[tokenizer]
perceptual = 0.0
discriminator_channels = 8
discriminator_layers = 1
"""
TRANSFORMER = """
stage = "transformer"
model = {{ codes = {codes}, grid = {grid}, dim = 16, heads = 2, layers = 1, mlp = 16 }}
transformer = {{ tokenizer = "{model}" }}
"""
MOST_IN_A_ROW = 25
"""Kills of one run, after which it is left alone to its end."""
TIMES = ("time", "images_per_second", "mfu", "data_wait", "seconds")
"""Figures of a run that no two runs have in common."""


@dataclass(frozen=True)
class Task:
    """A command that can be killed, and what it must come to."""

    name: str
    command: Callable[[Path], list[str]]
    """Its arguments, of the folder it writes into."""


def prepare(folder: Path) -> list[Task]:
    """Pictures, masks, a recipe and a model of next to no size."""
    for name, count in (("train", 6), ("validation", 3), ("photos", 8)):
        (folder / name).mkdir()
        for number in range(count):
            pixels = smooth_pixels(SIDE + 4 * (name == "photos"), SIDE, len(name) * 100 + number)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "masks").mkdir()
    for number in range(8):
        mask = np.zeros((SIDE + 4, SIDE), np.uint8)
        mask[4 : 6 + number, 3:9] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    pipe = InpaintPipeline(*tiny_models())
    pipe.save_pretrained(folder / "model")
    recipes = {}
    for stage, text in (("tokenizer", TOKENIZER), ("transformer", TRANSFORMER)):
        recipes[stage] = folder / f"{stage}.toml"
        places = {"train": folder / "train", "validation": folder / "validation", "model": folder / "model"}
        config = pipe.transformer.config
        recipes[stage].write_text(
            (text + RUN).format(**places, tokenizer=TINY_TOKENIZER, codes=config.codes, grid=config.grid)
        )
    own = ["train", "--on", write_photos(folder / "own", 12), "--from", folder / "model", "--device", "cpu"]
    fill = ["inpaint", "--input", folder / "photos", "--masks", folder / "masks", "--model", folder / "model"]
    fill += ["--samples", "2", "--steps", "3"]
    bulk = [one for one in fill if one not in ("--samples", "2")] + ["--seed-by", "key", "--chunk", "3"]
    checkpoint = restated_mage.save(restated_mage.random_checkpoint(64), folder / "mage.pth")
    convert = ["convert", "mage", checkpoint, "--heads", "4"]
    return [
        *(Task(stage, partial(_train, stage, recipe)) for stage, recipe in recipes.items()),
        Task("fine-tuning", lambda out: [*map(str, own), "-o", str(out / "model")]),
        Task("folder run", lambda out: [*map(str, fill), "--output", str(out)]),
        Task("bulk run", lambda out: [*map(str, bulk), "--output", str(out)]),
        Task("conversion", lambda out: [*map(str, convert), "--output", str(out)]),
    ]


def _train(stage: str, recipe: Path, out: Path) -> list[str]:
    return ["train", stage, "--config", str(recipe), "-o", str(out)]


def quicken() -> None:
    """Makes fine-tunings take a few steps, all of the same length, and no published network."""
    plan.STEPS.update(transformer=6, decoder=6)
    plan.FEWEST_STEPS = 2
    whole = plan._training
    plan._training = lambda steps: whole(steps) | {"checkpoint_every": 2, "log_every": 2}
    training._feature_networks = lambda options, device: (StillPerceptual(), None)
    finetuning.locate = Path
    finetuning.seconds_a_step = lambda recipe, images: 0.5
    pack.Lpips = SimpleNamespace(load=lambda net: StillPerceptual())


def start(arguments: list[str], log: Path) -> int:
    """The command in a process of its own, its words in `log`; returns the process's number."""
    process = os.fork()
    if process:
        return process
    status = 1
    with contextlib.suppress(BaseException):
        os.setsid()
        words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(words, 1)
        os.dup2(words, 2)
        try:
            maskmend(arguments)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    os._exit(status)


def outcome(process: int, until: float | None) -> int | None:
    """The exit status of a process; None when it was still at work at `until`, and was killed."""
    while until is None or time.monotonic() < until:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    return None if code == -signal.SIGKILL else code


def result(out: Path) -> dict[str, str]:
    """What a run has come to: a hash for each file, without the times it tells."""
    found = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = path.relative_to(out).as_posix()
        if name.endswith(".jsonl"):
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            content = json.dumps([{k: v for k, v in row.items() if k not in TIMES} for row in rows]).encode()
        elif name.endswith(".pt"):
            content = _tensors(path)
        elif name.endswith("README.md"):  # a model's card
            content = re.sub(rb" in \d+ minutes ", b" ", path.read_bytes())
        else:
            content = path.read_bytes()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def _tensors(path: Path) -> bytes:
    """The tensors of a checkpoint, whatever else it says (when it was written, how long it took)."""
    parts: list[bytes] = []

    def walk(value: object) -> None:
        if isinstance(value, torch.Tensor):
            parts.append(value.numpy().tobytes())
        elif isinstance(value, dict):
            for name in sorted(value, key=str):
                walk(value[name])
        elif isinstance(value, list | tuple):
            for one in value:
                walk(one)

    walk(torch.load(path, weights_only=True))
    return b"".join(parts)


def kill_again_and_again(
    task: Task, kills: int, folder: Path, rng: random.Random
) -> tuple[int, int, list[str]]:
    """Returns how many kills met a process at work, how many runs came to their end, and what was wrong."""
    log = folder / "log.txt"
    began = time.monotonic()
    if (status := outcome(start(task.command(folder / "alone"), log), None)) != 0:
        return 0, 0, [f"left alone it ends with status {status}: {log.read_text()[-500:]}"]
    needed, wanted = time.monotonic() - began, result(folder / "alone")
    done = runs = 0
    wrong: list[str] = []
    while done < kills and not wrong:
        out, in_a_row = folder / f"run-{runs}", 0
        while True:
            spared = done >= kills or in_a_row >= MOST_IN_A_ROW
            until = None if spared else time.monotonic() + rng.uniform(0, needed)
            status = outcome(start(task.command(out), log), until)
            if status == 0:
                break
            if status is not None:
                wrong.append(f"after {in_a_row} kills it ends with status {status}: {log.read_text()[-500:]}")
                break
            done, in_a_row = done + 1, in_a_row + 1
        runs += 1
        if not wrong:
            found = result(out)
            apart = sorted(
                name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
            )
            apart += [path.name for path in folder.iterdir() if path.name.startswith(".")]  # beside its place
            if apart:
                wrong.append(
                    f"after {in_a_row} kills these files differ, or are too many or missing: {apart}"
                )
            else:
                shutil.rmtree(out)
    return done, runs, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="in all, as many of each kind of run")
    parser.add_argument("--only", action="append", help="a kind of run, such as conversion; all if left out")
    parser.add_argument("--seed", type=int, help="of the moments; drawn anew if left out")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    quicken()
    torch.set_num_threads(1)  # threads do not outlive a fork
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tasks = [task for task in prepare(folder) if not given.only or task.name in given.only]
        for number, task in enumerate(tasks):
            place = folder / str(number)
            place.mkdir()
            share = given.kills // len(tasks) + (number < given.kills % len(tasks))
            done, runs, wrong = kill_again_and_again(task, share, place, random.Random(seed))
            print(f"{task.name}: {done} kills tried in {runs} runs, seed {seed}")
            print("; ".join(wrong) or "all came to the files of a run that was left alone")
            failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
