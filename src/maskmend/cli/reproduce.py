"""`maskmend reproduce`."""

from pathlib import Path

import click

from maskmend.cli.options import DEVICE, MASK_FOLDER, MIGAN, PATH, REPEATS, SEED
from maskmend.errors import ConfigError


@click.command()
@click.option(
    "--images", type=PATH, help="Folder or tar file of test images (default: the shipped samples, --quick)."
)
@MASK_FOLDER
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("reproduction"),
    show_default=True,
    help="Folder for page, pictures and trials.",
)
@click.option("--model", default="cats64", show_default=True, help="Shipped name, model folder, or hub id.")
@click.option(
    "--quick",
    is_flag=True,
    help="16 images and the coursework's tables only: a quick look, not a measurement.",
)
@click.option("--limit", type=click.IntRange(min=2), help="Only the first N images.")
@click.option(
    "--sweep-limit",
    type=click.IntRange(min=2),
    help="Only this many images for the grid and all settings but schedule and steps.",
)
@click.option("--grid/--no-grid", default=True, show_default=True, help="Schedule x steps x order x choice.")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only this table; can be repeated.")
@MIGAN
@REPEATS
@click.option("--seed", type=SEED, default=0, show_default=True, help="Image i is filled with this seed + i.")
@DEVICE
def reproduce(
    images: Path | None,
    masks: Path | None,
    output: Path,
    model: str,
    quick: bool,
    limit: int | None,
    sweep_limit: int | None,
    grid: bool,
    tables: tuple[str, ...],
    migan: Path | None,
    repeats: int,
    seed: int,
    device: str,
) -> None:
    """Makes the tables and pictures of the coursework, the published experiment behind this project, and
    more, as one page; continues where it was stopped."""
    from rich.console import Console

    from maskmend.cli.progress import stages
    from maskmend.experiments.reproduce.baselines import migan as load_migan
    from maskmend.experiments.reproduce.baselines import telea
    from maskmend.experiments.reproduce.charts import figure_class
    from maskmend.experiments.reproduce.dataset import load_test_set, shipped_set
    from maskmend.experiments.reproduce.run import QUICK_IMAGES, QUICK_REPEATS
    from maskmend.experiments.reproduce.run import reproduce as run
    from maskmend.experiments.reproduce.trial import TrialRunner
    from maskmend.inference.devices import pick_device
    from maskmend.perceptual.inception import Inception
    from maskmend.perceptual.lpips import Lpips
    from maskmend.pipeline import InpaintPipeline

    for needed in (telea, figure_class):
        needed()  # a missing package is reported now, not after minutes of filling
    if migan is not None:
        load_migan(migan)
    place = pick_device(device)
    pipe = InpaintPipeline.from_pretrained(model).to(place)
    log = Console(stderr=True, soft_wrap=True).print
    if images is None:
        if masks is not None:
            raise ConfigError("--masks goes with --images: give both, or neither for the shipped samples")
        data, quick = shipped_set(pipe.resolution), True
        log(
            f"no --images: the published tables over the {len(data.images)} shipped samples, to see what "
            "they contain; scores over so few images mean nothing. The test pictures are of the public set "
            "'Cats faces 64x64 (for generative models)', published on Kaggle; the model card of cats64 says "
            "how it was split. With them: maskmend reproduce --images FOLDER"
        )
    else:
        data = load_test_set(images, pipe.resolution, masks)
    if quick or limit is not None:
        data = data.first(limit or QUICK_IMAGES)
    inception, lpips = Inception.load(device=place), Lpips.load("alexnet").to(place)
    with stages() as progress:
        runner = TrialRunner(
            data=data,
            pipe=pipe,
            extract=inception.features,
            network="inception",
            distance=lpips,
            distance_network="lpips-alexnet",
            folder=output / "trials",
            repeats=QUICK_REPEATS if quick else repeats,
            seed=seed,
        )
        run(
            runner,
            output,
            quick=quick,
            grid=grid,
            only=tables,
            sweep_limit=sweep_limit,
            migan_file=migan,
            progress=progress,
            log=log,
        )
    click.echo(f"wrote {output / 'page.html'}, with page.md, page.json and the pictures beside it")
