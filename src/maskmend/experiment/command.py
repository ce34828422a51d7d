"""`maskmend reproduce` on the command line."""

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command()
@click.option("--images", type=PATH, required=True, help="Folder or tar file of test images.")
@click.option("--masks", type=PATH, help="Folder of masks, white = filled (default: random walks of seed 0).")
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("reproduction"),
    show_default=True,
    help="Folder for page, pictures and trials.",
)
@click.option("--model", default="default", show_default=True, help="Shipped name, model folder, or hub id.")
@click.option("--quick", is_flag=True, help="16 images and the report's tables only: a look, no measurement.")
@click.option("--limit", type=click.IntRange(min=2), help="Only the first so many images.")
@click.option("--grid/--no-grid", default=True, show_default=True, help="Schedule x steps x order x choice.")
@click.option("--migan", type=PATH, help="MI-GAN's ONNX file, for the comparison.")
@click.option("--repeats", default=50, show_default=True, help="Bootstrap draws of the intervals.")
@click.option("--seed", default=0, show_default=True, help="Image i is filled with this seed + i.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps, or auto.")
def reproduce(
    images: Path,
    masks: Path | None,
    output: Path,
    model: str,
    quick: bool,
    limit: int | None,
    grid: bool,
    migan: Path | None,
    repeats: int,
    seed: int,
    device: str,
) -> None:
    """Makes the report's tables and pictures, and more, as one page; goes on where it was stopped."""
    from maskmend.experiment.run import QUICK_IMAGES, QUICK_REPEATS, load_test_set
    from maskmend.experiment.run import reproduce as run
    from maskmend.experiment.trial import Laboratory
    from maskmend.metrics.inception import Inception
    from maskmend.perceptual import Lpips
    from maskmend.pipeline import InpaintPipeline
    from maskmend.progress import stages
    from maskmend.training.run import pick_device

    place = pick_device(device)
    pipe = InpaintPipeline.from_pretrained(model).to(place)
    data = load_test_set(images, pipe.resolution, masks)
    if quick or limit is not None:
        data = data.first(limit or QUICK_IMAGES)
    inception, lpips = Inception.load(device=place), Lpips.load("alexnet").to(place)
    with stages() as told:
        laboratory = Laboratory(
            data=data,
            pipe=pipe,
            extract=inception.features,
            distance=lpips,
            folder=output / "trials",
            repeats=QUICK_REPEATS if quick else repeats,
            seed=seed,
        )
        run(laboratory, output, quick=quick, grid=grid, migan_file=migan, told=told)
    click.echo(f"wrote {output / 'page.html'}, with page.md, page.json and the pictures beside it")
