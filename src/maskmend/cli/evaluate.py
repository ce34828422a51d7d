"""`maskmend evaluate`."""

from pathlib import Path

import click

from maskmend.cli.options import (
    ASSIGNMENTS,
    DEVICE,
    PATH,
    PRECISION,
    REPEATS,
    SEED,
    Choice,
    Filler,
    refuse_options,
)
from maskmend.errors import ConfigError


@click.command()
@click.option("--images", type=PATH, required=True, help="Folder of the true images.")
@click.option("--results", type=PATH, help="Folder of results to score, paired with the images by name.")
@click.option("--model", help="Or: a model to run on the images (shipped name, model folder, hub id).")
@click.option(
    "--also",
    type=PATH,
    multiple=True,
    metavar="FOLDER",
    help="With --results: further results for the same images, for the diversity; can be repeated.",
)
@click.option("--masks", "mask_folder", type=PATH, help="Folder of masks, white = filled.")
@click.option("--invert-masks", is_flag=True, help="The masks are black where filled. With --results.")
@click.option(
    "-o", "--output", type=PATH, help="Folder for pictures and report (a .json file with --results)."
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Fills of each hole by the model; several add diversity and the scores of the best one.",
)
@REPEATS
@DEVICE
@PRECISION
@click.option(
    "--preset",
    type=Choice(["coursework", "report"]),
    metavar="[coursework]",
    help="Settings of the coursework; --set changes single ones.",
)
@ASSIGNMENTS
def evaluate(
    images: Path,
    results: Path | None,
    model: str | None,
    also: tuple[Path, ...],
    mask_folder: Path | None,
    invert_masks: bool,
    output: Path | None,
    seed: int,
    samples: int,
    repeats: int,
    device: str,
    preset: str | None,
    precision: str,
    assignments: tuple[str, ...],
) -> None:
    """Scores results against true images, or a model on images and masks: FID, KID, LPIPS, PSNR, SSIM, ..."""
    from rich.console import Console

    from maskmend.cli.progress import stages

    if (results is None) == (model is None):
        raise ConfigError("give either --results FOLDER or --model NAME")
    if invert_masks and mask_folder is None:
        raise ConfigError("--invert-masks needs masks: give --masks FOLDER, or leave it out")
    console = Console()
    if results is not None:
        refuse_options("--results", {"assignments": "--set", "samples": "", "preset": ""})
        if output is not None and output.is_dir():
            raise ConfigError(
                f"--output {output} is a folder: with --results name a file, such as scores.json"
            )
        from maskmend.evaluation.folders import evaluate_folders

        with stages() as progress:
            report = evaluate_folders(
                results, images, mask_folder, other_fills=also, invert_masks=invert_masks, repeats=repeats,
                seed=seed, device=device, progress=progress,
            )  # fmt: skip
        console.print(report.table())
        if output is not None:
            report.save(output)
        return
    refuse_options("--model", {"also": "", "invert_masks": ""})
    if mask_folder is None or output is None:
        raise ConfigError("--model needs --masks FOLDER (see: maskmend masks make) and --output FOLDER")
    from maskmend.evaluation.model import evaluate_model
    from maskmend.importers.coursework.published import PRESETS

    given = dict(PRESETS[preset]) if preset else {}
    pipe, chosen = Filler(
        model=model or "default", device=device, precision=precision, given=given, assignments=assignments
    ).load()
    with stages() as progress:
        reports = evaluate_model(
            pipe, images, mask_folder, output, seed=seed, samples=samples, repeats=repeats, progress=progress,
            **chosen,
        )  # fmt: skip
    for kind, report in reports.items():
        console.print(f"[bold]{kind}[/bold]")
        console.print(report.table())
