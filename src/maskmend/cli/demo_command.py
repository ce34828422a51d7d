"""The command `maskmend demo`; `demo` and `demo_photographs` do its work, and load PyTorch."""

from pathlib import Path

import click

from maskmend.cli.options import PATH, SEED


@click.command()
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the results.",
)
@click.option(
    "--model",
    default="cats64",
    show_default=True,
    help="For the cats: shipped name, model folder, or hub id.",
)
@click.option("--photo-model", default="photo", show_default=True, help="For the photographs: likewise.")
@click.option("--seed", type=SEED, default=0, show_default=True)
def demo(output: Path, model: str, photo_model: str, seed: int) -> None:
    """Fills holes in the shipped cat faces, showing every step, and repairs three photographs."""
    from maskmend.cli.demo import run_demo
    from maskmend.cli.demo_photographs import repair_photographs

    run_demo(output, model=model, seed=seed)
    repair_photographs(output, model=photo_model, seed=seed)
