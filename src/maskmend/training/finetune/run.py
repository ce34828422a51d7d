"""Fine-tunes from a folder of pictures to a model folder, in resumable stages.

    work folder      plan.json     the plan: pictures, steps, and the measured time of a step
                     pictures/     training.tar, validation.tar, and the sheets before.png and after.png
                     transformer/  decoder/      runs like any other (`training.run`)

Finished parts are not repeated: each one is written completely before it is recorded in the plan.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from maskmend.errors import ConfigError, TrainingError
from maskmend.fill.familiarity import Domain
from maskmend.inference.devices import pick_device
from maskmend.inference.precision import has_fast_bf16
from maskmend.perceptual.weights import locate
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.folder import INDEX
from maskmend.pretrained.hashes import model_hash
from maskmend.pretrained.lookup import find_model
from maskmend.progress import Log, duration
from maskmend.training.dataset import ImageSet
from maskmend.training.finetune import held_out
from maskmend.training.finetune.pace import seconds_a_step
from maskmend.training.finetune.pack import default_name, held_out_pictures, measure, pack, save_sheet
from maskmend.training.finetune.pictures import (
    PictureCounts,
    keep_pictures,
    listing_hash,
    split_pictures,
    training_file,
    validation_file,
)
from maskmend.training.finetune.plan import (
    PLAN,
    STEPS,
    Plan,
    read_plan,
    recipes,
    shared_out,
    stage_folders,
    write_plan,
)
from maskmend.training.finetune.prices import price_list
from maskmend.training.finetune.request import Finetuned, Request, check_folders
from maskmend.training.loop import TrainingOutcome
from maskmend.training.recipe import Recipe

Watch = Callable[[Recipe, Path], TrainingOutcome]
"""Trains a recipe into a folder, with progress output."""
WEIGHTS = ("lpips-vgg16", "efficientnet-lite0", "lpips-alexnet")
"""Networks used by the decoder's training and by the evaluation before and after."""
FEW = 100


def finetune(request: Request, watch: Watch, log: Log) -> Finetuned:
    """Trains a model on `request.source` and writes it to `request.output`; resumes an unfinished run.

    `log` is called with progress messages, one line at a time.

    Raises:
        ConfigError: for conflicting folders, a run from another model, too few minutes.
        DataError: for too few pictures.
        ModelError: for a model that cannot be loaded.
        WeightsError: if a network of `WEIGHTS` is not on this machine.
    """
    check_folders(request)
    Domain(learnt=request.learnt or default_name(request.source), distance=1.0)
    work = request.work
    # If there is a folder of runs, the model beside it came from there.
    if (request.output / INDEX).exists() and not work.is_dir():
        raise ConfigError(
            f"{request.output} already holds a model: choose another --output, or remove it first"
        )
    folder = find_model(request.model)
    start = InpaintPipeline.from_pretrained(folder)
    device = pick_device(request.device)
    for name in WEIGHTS:
        locate(name)  # now, not after the first stage
    if request.restart:
        _remove(work)
    plan = read_plan(work)
    start = start.to(device)
    plan = _begin(request, folder, start, log) if plan is None else _go_on(plan, request, start, log)
    if plan.packed and (request.output / INDEX).exists():
        longer = 2 * max(1, round(plan.minutes))
        log(f"{request.output} is finished; to train it longer: --minutes {longer}; to start over: --restart")
        return Finetuned(finished=True)
    folders = stage_folders(work)
    for stage, recipe in recipes(plan, work, start.tokenizer.config, start.transformer.config).items():
        left = duration(plan.steps[stage] * plan.seconds[stage])
        log(f"{stage}: {plan.steps[stage]} steps, about {left}; pictures: {folders[stage] / 'pictures'}")
        if not watch(recipe, folders[stage]).finished:
            return Finetuned(finished=False)
    return pack(request, plan, start, log)


def _begin(request: Request, folder: Path, start: InpaintPipeline, log: Log) -> Plan:
    """Prepares the run before the first step: pictures, first contact sheet, time of a step."""
    work, resolution = request.work, start.resolution
    split = split_pictures(request.source, resolution, log)
    counts, side = split.counts, split.counts.side
    _log_pictures(counts, request.source, log)
    config = start.tokenizer.config
    log(
        f"starts from {request.model}: a view of {resolution}x{resolution} pixels, "
        f"{config.grid}x{config.grid} tokens of {config.quantizer.codes} codes"
    )
    validation, training = validation_file(work / "pictures"), training_file(work / "pictures")
    # The held-out pictures first, so that there is a sheet to look at while the others are read.
    counts = replace(counts, validation=keep_pictures(split.validation, validation, side, log))
    holed = held_out_pictures(work, side, resolution)
    sheet = work / "pictures" / "before.png"
    save_sheet(held_out.sheet(holed, {request.model: start}), sheet)
    log(f"fills of held-out pictures by {request.model}: {sheet}")
    counts = replace(counts, training=keep_pictures(split.training, training, side, log))
    plan = Plan(
        model=str(folder.resolve()),
        model_hash=model_hash(start.tokenizer, start.transformer),
        pictures=counts,
        steps=dict(STEPS),
        seconds=dict.fromkeys(STEPS, 1.0),
        precision=_precision(start),
        device=request.device,
        before=tuple(float(value) for value in measure(start, holed)),
    )
    log("measuring how long a step takes here, under the current load of this machine")
    images = ImageSet(training, side)
    made = recipes(plan, work, start.tokenizer.config, start.transformer.config)
    decoder = made["decoder"].decoder
    assert decoder is not None
    # The run's own transformer does not exist yet; the one it starts from is as fast.
    made["decoder"] = replace(made["decoder"], decoder=replace(decoder, transformer=plan.model))
    seconds = {stage: seconds_a_step(recipe, images) for stage, recipe in made.items()}
    steps = dict(STEPS) if request.minutes is None else shared_out(request.minutes, seconds)
    plan = replace(plan, seconds=seconds, steps=steps)
    write_plan(work, plan)
    for line in price_list(plan):
        log(line)
    return plan


def _go_on(plan: Plan, request: Request, start: InpaintPipeline, log: Log) -> Plan:
    """The plan of an unfinished run, updated with the arguments of this command."""
    work = request.work
    if model_hash(start.tokenizer, start.transformer) != plan.model_hash:
        raise ConfigError(
            f"{work} holds a run that started from another model ({Path(plan.model).name}), not from "
            f"{request.model}: choose another --output, or start over with --restart"
        )
    for file in (training_file(work / "pictures"), validation_file(work / "pictures")):
        if not file.is_file():
            raise TrainingError(f"no {file}, which this run needs: start over with --restart")
    if listing_hash(request.source) != plan.pictures.listing:
        log(
            f"{request.source} has other pictures than when this run began: it continues with the earlier "
            "ones; --restart takes the present ones"
        )
    plan = replace(plan, device=request.device, precision=_precision(start))
    if request.minutes is not None and (steps := shared_out(request.minutes, plan.seconds)) != plan.steps:
        plan = replace(plan, steps=steps, packed=False)
        write_plan(work, plan)
    if not plan.packed:
        log(f"continues with {work}, about {duration(plan.minutes * 60)} in all")
    return plan


def _precision(start: InpaintPipeline) -> str:
    return "bf16" if has_fast_bf16(start.device) else "auto"


def _log_pictures(counts: PictureCounts, source: Path, log: Log) -> None:
    others = [f"{counts.skipped} skipped"] * (counts.skipped > 0)
    others += [f"{counts.copies} exact copies left out"] * (counts.copies > 0)
    left = f" ({', '.join(others)})" if others else ""
    total = counts.training + counts.validation
    log(
        f"{total} pictures in {source}{left}: {counts.training} to learn from, {counts.validation} held out; "
        f"kept with a shorter side of {counts.side} pixels"
    )
    if total < FEW:
        log(f"{total} pictures are few: some hundreds train better, and leave enough for an evaluation")


def _remove(work: Path) -> None:
    """Removes the plan first, so that an interrupted removal leaves no valid run."""
    (work / PLAN).unlink(missing_ok=True)
    for folder in (*stage_folders(work).values(), work / "pictures"):
        if folder.is_dir():
            shutil.rmtree(folder)
