"""Scores a model on a folder of images and masks.

    composited       known pixels from the image, the hole from the model: what a user gets
    uncomposited     every pixel from the decoder: the protocol of the coursework
    reconstruction   the whole image encoded and decoded: a lower bound of the uncomposited scores
    likeliest        of several samples the one to which the model gives the highest likelihood, composited

The pictures are written beside the report, so every score can be checked and computed again.
"""

import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from maskmend.errors import ConfigError
from maskmend.evaluation.folders import Distance, evaluate_folders
from maskmend.evaluation.pairing import named_files, pair_folders
from maskmend.evaluation.report import Report
from maskmend.fill.result import best_of
from maskmend.images.picture import load_image
from maskmend.images.tensors import to_tensor, to_uint8
from maskmend.images.writing import save_image
from maskmend.metrics.features import FeatureFunction
from maskmend.perceptual.inception import Inception
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline
from maskmend.progress import StageProgress

BATCH = 16
METRICS: dict[str, tuple[str, ...] | None] = {
    "composited": None,
    "uncomposited": ("fid", "lpips", "psnr"),
    "reconstruction": ("fid", "lpips", "psnr", "ssim"),
    "likeliest": ("fid", "kid", "lpips", "psnr", "hole_l1"),
}
"""None for all that the folders, the number of images and the installed packages allow."""


def fill_folder(
    pipe: InpaintPipeline,
    images: Path,
    masks: Path,
    out: Path,
    *,
    seed: int = 0,
    samples: int = 1,
    progress: StageProgress | None = None,
    **settings: Any,
) -> float:
    """Writes composited, uncomposited and reconstructed pictures as PNG; returns seconds an image.

    Image number i (by name) is filled with seed `seed` + i. The last two need images of the model's
    resolution and are left out for others. With several samples, of the seeds that follow, the likeliest and
    the further ones (`sample-2`, ...) are written too.
    """
    pairs = pair_folders(images, images, masks)
    paths = list(pairs.results.paths)
    spent = 0.0
    for start in range(0, len(paths), BATCH):
        names = pairs.names[start : start + BATCH]
        pictures = [load_image(path) for path in paths[start : start + BATCH]]
        holes = (pairs.masks or [])[start : start + BATCH]
        begin = time.perf_counter()
        seeds = [seed + start + i for i in range(len(names))]
        results = pipe(pictures, holes, samples=samples, seed=seeds, **settings)
        spent += time.perf_counter() - begin
        for name, result in zip(names, results, strict=True):
            save_image(result.pictures[0], _place(out / "composited", name))
            if samples > 1:
                result.save(_place(out / "likeliest", name), best_of(result.log_likelihood, "likelihood"))
            for number in range(1, samples):
                save_image(result.pictures[number], _place(out / f"sample-{number + 1}", name))
            if result.regions and result.source.pixels.shape[:2] == (
                pipe.resolution,
                pipe.resolution,
            ):
                pipe.draw_tokens(result.tokens, result.regions)[0].save(_place(out / "uncomposited", name))
                _reconstruct(pipe, result.source.pixels).save(_place(out / "reconstruction", name))
        if progress:
            progress("filling", min(start + BATCH, len(paths)), len(paths))
    return spent / len(paths)


def evaluate_model(
    pipe: InpaintPipeline,
    images: Path,
    masks: Path,
    out: Path,
    *,
    seed: int = 0,
    samples: int = 1,
    repeats: int = 100,
    extract: FeatureFunction | None = None,
    distance: Distance | None = None,
    progress: StageProgress | None = None,
    **settings: Any,
) -> dict[str, Report]:
    """Fills every image, writes pictures and `report-*.json` into `out`, and returns the reports by kind.

    `extract` and `distance` are as in `evaluate_folders`; `seed` is that of the fills (`fill_folder`) and of
    the bootstrap. Raises ConfigError when `out` holds pictures of another evaluation, WeightsError, and
    DataError for files that cannot be read or do not pair up: all before any work.
    """
    _check_unmixed(images, out)
    network = None
    if extract is None:
        extract, network = Inception.load(device=pipe.device).features, "inception"
    distance = distance or Lpips.load("alexnet").to(pipe.device)
    seconds = fill_folder(pipe, images, masks, out, seed=seed, samples=samples, progress=progress, **settings)
    others = [out / f"sample-{number}" for number in range(2, samples + 1)]
    reports = {}
    for kind, metrics in METRICS.items():
        folder = out / kind
        if not folder.is_dir() or (kind == "likeliest" and samples == 1):
            continue
        reports[kind] = evaluate_folders(
            folder,
            images,
            masks if kind in ("composited", "likeliest") else None,
            metrics=metrics,
            other_fills=others if kind == "composited" else (),
            extract=extract,
            network=network,
            distance=distance,
            device=pipe.device,
            repeats=repeats,
            seed=seed,
            seconds_per_image=seconds if kind == "composited" else None,
            progress=progress,
        )
        reports[kind].save(out / f"report-{kind}.json")
    return reports


def _check_unmixed(images: Path, out: Path) -> None:
    """Raises ConfigError where `out` has results of other images: those of the same images are replaced."""
    names = named_files(images)
    for kind in METRICS:
        folder = out / kind
        for path in sorted(folder.rglob("*.png")) if folder.is_dir() else []:
            if path.relative_to(folder).with_suffix("").as_posix() not in names:
                raise ConfigError(f"{path} is of another evaluation: choose another folder, or remove it")


@torch.no_grad()
def _reconstruct(pipe: InpaintPipeline, pixels: Any) -> Image.Image:
    image = to_tensor(pixels).to(pipe.device)
    return Image.fromarray(to_uint8(pipe.tokenizer.decode(pipe.tokenizer.encode(image))))


def _place(folder: Path, name: str) -> Path:
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
