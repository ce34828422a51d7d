"""`maskmend masks`, `evaluate`, `reproduce` and `study`."""

import sys
from pathlib import Path

import click
from click import format_filename as shown

from maskmend.cli.options import PATH, SEED, Commands, Filler, refuse_options
from maskmend.errors import ConfigError


@click.group(cls=Commands)
def masks() -> None:
    """Fixed sets of masks for evaluation."""


@masks.command()
@click.argument("kind")
@click.option(
    "--like",
    "images",
    type=PATH,
    required=True,
    help="Folder of images: one mask for each, same name and size.",
)
@click.option("-o", "--output", type=PATH, required=True, help="Folder for the masks and their manifest.")
@click.option("--seed", type=SEED, default=0, show_default=True)
def make(kind: str, images: Path, output: Path, seed: int) -> None:
    """Writes a set of masks of KIND: random_walk, boxes, strokes, strokes_thin, strokes_medium,
    strokes_thick, centre, border, random_pixels, scratches, text, strokes_photo or blobs."""
    from maskmend.masks.sets import make_masks

    skipped: dict[str, str] = {}
    manifest = make_masks(kind, images, output, seed=seed, skip=skipped.__setitem__)
    share = 100 * manifest["mean_share"]
    click.echo(
        f"{manifest['count']} masks, {share:.1f} % holes on average, sha256 {manifest['sha256']}: {output}"
    )
    if skipped:
        click.secho(f"{len(skipped)} of the pictures cannot be read and have no mask:", fg="red", err=True)
        for name, reason in skipped.items():
            click.echo(shown(f"  {name}: {reason}"), err=True)
        click.echo("the same command makes theirs once they are mended; the others stay the same", err=True)
        sys.exit(1)


@click.command()
@click.option("--images", type=PATH, required=True, help="Folder of the true images.")
@click.option("--results", type=PATH, help="Folder of results to score, paired with the images by name.")
@click.option("--model", help="Or: a model to run on the images (shipped name, model folder, hub id).")
@click.option(
    "--also",
    type=PATH,
    multiple=True,
    metavar="FOLDER",
    help="Further results for the same images, for the diversity; several times. With --results.",
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
    help="Fills of each hole by the model: several add diversity and the best one's figures.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Bootstrap draws of the intervals.",
)
@click.option("--device", default="cpu", show_default=True)
@click.option("--precision", default="auto", show_default=True, help="Of the model: auto, fp32 or bf16.")
@click.option(
    "--preset",
    type=click.Choice(["coursework", "report"]),
    metavar="[coursework]",
    help="Settings of the published experiment; --set changes single ones.",
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the fills: --set steps=8."
)
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


@click.command()
@click.option(
    "--images", type=PATH, help="Folder or tar file of test images (default: the shipped samples, --quick)."
)
@click.option("--masks", type=PATH, help="Folder of masks, white = filled (default: random walks of seed 0).")
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
    help="16 images and the published experiment's tables only: a look, no measurement.",
)
@click.option("--limit", type=click.IntRange(min=2), help="Only the first so many images.")
@click.option(
    "--sweep-limit",
    type=click.IntRange(min=2),
    help="Only the first so many images for the grid and all settings but schedule and steps.",
)
@click.option("--grid/--no-grid", default=True, show_default=True, help="Schedule x steps x order x choice.")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only this table; several times.")
@click.option("--migan", type=PATH, help="MI-GAN's ONNX file, for the comparison.")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Bootstrap draws of the intervals.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Image i is filled with this seed + i.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps, or auto.")
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
    """Makes the published experiment's tables and pictures, and more, as one page; goes on where it was
    stopped."""
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
        needed()  # what is missing is said now, not after minutes of filling
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
            "they hold; figures over so few mean nothing. The test pictures are of the public set "
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


@click.command()
@click.option("--train", required=True, help="Folder or tar file of training images.")
@click.option("--validation", required=True, help="Likewise, held out; for the loss in metrics.jsonl only.")
@click.option("--images", type=PATH, required=True, help="Folder or tar file of test images.")
@click.option("--masks", type=PATH, help="Folder of masks, white = filled (default: random walks of seed 0).")
@click.option("--tokenizer", default="cats64", show_default=True, help="Model whose tokenizer all share.")
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("study"),
    show_default=True,
    help="Folder for page, trainings and trials.",
)
@click.option("--steps", type=click.IntRange(min=1), default=350, show_default=True, help="Of each training.")
@click.option("--limit", type=click.IntRange(min=2), help="Only the first so many test images.")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Bootstrap draws of the intervals.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of weights, data order and fills.")
def study(
    train: str,
    validation: str,
    images: Path,
    masks: Path | None,
    tokenizer: str,
    output: Path,
    steps: int,
    limit: int | None,
    repeats: int,
    seed: int,
) -> None:
    """Trains the published experiment's recipe and ours, one ingredient at a time, scores each; goes on where
    stopped."""
    from maskmend.cli.progress import stages
    from maskmend.experiments.ablation.run import Scorer
    from maskmend.experiments.ablation.run import study as run
    from maskmend.experiments.ablation.trainings import Budget, Trainings
    from maskmend.experiments.reproduce.dataset import load_test_set
    from maskmend.perceptual.inception import Inception
    from maskmend.perceptual.lpips import Lpips
    from maskmend.pretrained.folder import component_folder, find_model, load_tokenizer

    inception, lpips = Inception.load(), Lpips.load("alexnet")
    folder = find_model(tokenizer)
    tokens = load_tokenizer(component_folder(folder, "tokenizer")).config
    scorer = Scorer(
        data=load_test_set(images, tokens.resolution, masks).first(limit),
        extract=inception.features,
        network="inception",
        distance=lpips,
        folder=output / "trials",
        repeats=repeats,
        seed=seed,
    )
    budget = Budget(
        train=train,
        validation=validation,
        tokenizer=folder,
        codes=tokens.quantizer.codes,
        grid=tokens.grid,
        steps=steps,
        seed=seed,
    )
    with stages() as progress:
        run(Trainings(budget=budget, folder=output / "trainings"), scorer, output, progress=progress)
    click.echo(f"wrote {output / 'page.html'}, with page.md and page.json beside it")
