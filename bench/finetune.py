"""What a number of steps of each stage gains on a folder of pictures, and what they cost (docs/training.md).

    OMP_NUM_THREADS=1 python bench/finetune.py --on photos-200/ --work work/ --transformer 400 --decoder 400
    OMP_NUM_THREADS=1 python bench/finetune.py --on photos-200/ --work work/ --transformer 0 --decoder 700

As `maskmend train --on` does it, but for the number of steps: of 0 the stage is left out and the model's own
part stays. Prints CPU and wall time of each stage, and LPIPS of fills of held-out pictures before and
after. A run that was stopped is resumed.
"""

import argparse
import time
from pathlib import Path

import torch

from maskmend.inference.precision import has_fast_bf16
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.component import load_tokenizer, load_transformer
from maskmend.pretrained.hashes import model_hash
from maskmend.pretrained.lookup import find_model
from maskmend.training.finetune.held_out import change, sheet
from maskmend.training.finetune.pack import held_out_pictures, measure
from maskmend.training.finetune.pictures import (
    keep_pictures,
    split_pictures,
    training_file,
    validation_file,
)
from maskmend.training.finetune.plan import FEWEST_STEPS, STEPS, Plan, recipes, stage_folders
from maskmend.training.progress import watch_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--from", dest="model", default="photo")
    for stage in STEPS:
        parser.add_argument(f"--{stage}", type=int, required=True, help=f"0, or at least {FEWEST_STEPS}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = find_model(given.model)
    start = InpaintPipeline.from_pretrained(folder)
    pictures = given.work / "pictures"
    split = split_pictures(given.on, start.resolution, print)
    for file, part in (
        (validation_file(pictures), split.validation),
        (training_file(pictures), split.training),
    ):
        if not file.is_file():
            keep_pictures(part, file, split.counts.side, print)
    asked = {stage: getattr(given, stage) for stage in STEPS}
    work = given.work / "-".join(map(str, asked.values()))
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "pictures").exists():
        (work / "pictures").symlink_to(pictures.resolve(), target_is_directory=True)
    plan = Plan(
        model=str(folder.resolve()),
        model_hash=model_hash(start.tokenizer, start.transformer),
        pictures=split.counts,
        steps={stage: steps or FEWEST_STEPS for stage, steps in asked.items()},
        seconds=dict.fromkeys(STEPS, 1.0),
        precision="bf16" if has_fast_bf16(start.device) else "auto",
        device="cpu",
    )
    if asked["transformer"] == 0 and not (work / "transformer").exists():
        (work / "transformer").symlink_to(folder.resolve(), target_is_directory=True)
    folders = stage_folders(work)
    for stage, recipe in recipes(plan, work, start.tokenizer.config, start.transformer.config).items():
        if asked[stage]:
            cpu, wall = time.process_time(), time.perf_counter()
            if not watch_run(recipe, folders[stage]).finished:
                return
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            print(
                f"{stage}: {asked[stage]} steps, {cpu / 60:.1f} minutes of CPU, {wall / 60:.1f} by the clock"
            )
    pipe = InpaintPipeline(
        load_tokenizer(folders["decoder"] / "tokenizer") if asked["decoder"] else start.tokenizer,
        load_transformer(folders["transformer"] / "transformer"),
        start.defaults,
    )
    holed = held_out_pictures(work, split.counts.side, start.resolution)
    before, after = measure(start, holed), measure(pipe, holed)
    print(
        f"{split.counts.validation} held out, {len(holed)} filled: LPIPS {before.mean():.4f} before, "
        f"{after.mean():.4f} after; as a share {change(before, after)}"
    )
    sheet(holed, {given.model: start, "trained on": pipe}).save(work / "sheet.png")


if __name__ == "__main__":
    main()
