"""`maskmend study`."""

from pathlib import Path

import click

from maskmend.cli.options import MASK_FOLDER, PATH, REPEATS, SEED


@click.command()
@click.option("--train", required=True, help="Folder or tar file of training images.")
@click.option("--validation", required=True, help="Likewise, held out; for the loss in metrics.jsonl only.")
@click.option("--images", type=PATH, required=True, help="Folder or tar file of test images.")
@MASK_FOLDER
@click.option(
    "--tokenizer", default="cats64", show_default=True, help="Model whose tokenizer all trainings share."
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("study"),
    show_default=True,
    help="Folder for page, trainings and trials.",
)
@click.option("--steps", type=click.IntRange(min=1), default=350, show_default=True, help="Of each training.")
@click.option("--limit", type=click.IntRange(min=2), help="Only the first N test images.")
@REPEATS
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of weights, data order and fills."
)
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
    """Trains the coursework's recipe and ours, one ingredient at a time, and scores each; continues where it
    was stopped."""
    from maskmend.cli.progress import stages
    from maskmend.experiments.ablation.run import Scorer
    from maskmend.experiments.ablation.run import study as run
    from maskmend.experiments.ablation.trainings import Budget, Trainings
    from maskmend.experiments.reproduce.dataset import load_test_set
    from maskmend.perceptual.inception import Inception
    from maskmend.perceptual.lpips import Lpips
    from maskmend.pretrained.component import load_tokenizer
    from maskmend.pretrained.lookup import component_folder, find_model

    inception, lpips = Inception.load(), Lpips.load("alexnet")
    folder = find_model(tokenizer)
    tokens = load_tokenizer(component_folder(folder, "tokenizer")).config
    scorer = Scorer(
        data=load_test_set(images, tokens.resolution, masks).first(limit),
        extract=inception.features,
        network="inception",
        distance=lpips,
        distance_network="lpips-alexnet",
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
