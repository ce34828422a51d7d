"""Finishes a fine-tuning: writes the model folder with its card, and measures the improvement."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from maskmend.errors import OutputError
from maskmend.metrics.bootstrap import Interval
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.component import load_tokenizer, load_transformer
from maskmend.pretrained.lookup import component_folder
from maskmend.progress import Log
from maskmend.storage.temporary import written_whole
from maskmend.training.calibration import measure_domain, spread
from maskmend.training.card import draft_card
from maskmend.training.dataset import ImageSet
from maskmend.training.finetune import held_out
from maskmend.training.finetune.pictures import training_file, validation_file
from maskmend.training.finetune.plan import Plan, stage_folders, write_plan
from maskmend.training.finetune.request import Finetuned, Request

LONGEST_NAME = 40
"""Maximum length of a folder name that is used in the model's description."""


def held_out_pictures(work: Path, side: int, resolution: int) -> list[list[held_out.Holed]]:
    """Held-out pictures with holes, up to twice the model's view, so that finer scales are used too."""
    pictures = ImageSet(validation_file(work / "pictures"), side)
    return held_out.holed_pictures(pictures, min(side, 2 * resolution))


def measure(pipe: InpaintPipeline, pictures: list[list[held_out.Holed]]) -> np.ndarray:
    """LPIPS of each picture's fills by AlexNet, as training uses VGG and a score by it would be biased."""
    return held_out.fill_distances(pipe, pictures, Lpips.load("alexnet").to(pipe.device))


def pack(request: Request, plan: Plan, start: InpaintPipeline, log: Log) -> Finetuned:
    """Combines the runs of `plan` into `request.output`; `start` is the model they started from."""
    work, folders = request.work, stage_folders(request.work)
    pipe = InpaintPipeline(
        load_tokenizer(component_folder(folders["decoder"], "tokenizer")),
        load_transformer(component_folder(folders["transformer"], "transformer")),
        start.defaults,
    ).to(start.device)
    log("measuring the improvement on the held-out pictures")
    pictures = held_out_pictures(work, plan.pictures.side, start.resolution)
    before, after = np.array(plan.before), measure(pipe, pictures)
    change = held_out.change(before, after)
    result = (
        f"LPIPS of fills of {len(after)} held-out pictures, {len(held_out.KINDS)} holes each: "
        f"{before.mean():.4f} with {request.model}, {after.mean():.4f} now, {_percent(change)}"
    )
    learnt = request.learnt or default_name(request.source)
    # The textures do not depend on the training, so all pictures here are new to them. The uncertainty of
    # holes does, and is measured a little low: the notes come rather too early than too late.
    pipe.domain, _ = measure_domain(pipe, _pictures(work, start.resolution), learnt)
    card = draft_card(
        folders["decoder"],
        folders["transformer"],
        data=f"{plan.pictures.training} pictures ({learnt}), starting from the model {request.model}: write "
        f"here where they come from and under which terms, beside the terms of that model.\n\n{result}.",
    )
    # Paths of this machine must not appear in a model that may be shared.
    pipe.card = card.replace(plan.model, request.model).replace(str(work), work.name)
    pipe.save_pretrained(request.output, half=True)
    sheet = work / "pictures" / "after.png"
    save_sheet(held_out.sheet(pictures, {request.model: start, request.output.name: pipe}), sheet)
    write_plan(work, replace(plan, packed=True))  # last: after it nothing is done again
    log(result)
    if change.high >= 0:
        log(
            f"no significant improvement over {request.model}: train longer (--minutes), give more "
            f"pictures, or keep using {request.model}"
        )
    log(f"before and after: {sheet}")
    log(f"wrote {request.output}; use it with --model {request.output}")
    log(f"{work} holds the runs: remove it if you will not train further")
    return Finetuned(finished=True, before=float(before.mean()), after=float(after.mean()), change=change)


def default_name(source: Path) -> str:
    """A default description of the training data, with the folder's name if it is usable."""
    name = source.resolve().stem
    fits = name.isprintable() and name.strip()
    return f"pictures like those in {name[:LONGEST_NAME]}" if fits else "pictures of one folder"


def save_sheet(image: Image.Image, path: Path) -> None:
    """Writes a PNG, whole or not at all. Raises OutputError."""
    try:
        with written_whole(path) as temporary:
            image.save(temporary, "PNG")
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror or error}): check the folder and free space"
        ) from error


def _pictures(work: Path, resolution: int) -> list[np.ndarray]:
    """Pictures of all, held out and learnt from, as `maskmend calibrate` reads and takes them."""
    files = (validation_file(work / "pictures"), training_file(work / "pictures"))
    sets = [ImageSet(file, 4 * resolution, enlarge=False) for file in files]
    places = [(images, n) for images in sets for n in range(len(images))]
    return [places[i][0][places[i][1]] for i in spread(len(places))]


def _percent(change: Interval) -> str:
    return f"{change.value:+.1%} [{change.low:+.1%}, {change.high:+.1%}]"
