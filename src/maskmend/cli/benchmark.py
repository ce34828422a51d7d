"""`maskmend bench`."""

from pathlib import Path

import click

from maskmend.cli.options import PATH


@click.command()
@click.option("--model", default="cats64", show_default=True, help="Shipped name, model folder, or hub id.")
@click.option(
    "--photo-model",
    default="photo",
    show_default=True,
    help="The same, for photographs and the command line.",
)
@click.option(
    "-o", "--output", type=PATH, default=Path("bench-output"), show_default=True,
    help="Folder for bench.json and bench.md.",
)  # fmt: skip
@click.option("--peers", type=PATH, help="Folder built by bench/peers/build.py: other projects' models too.")
@click.option(
    "--quick",
    is_flag=True,
    help="A quick run of about a minute: few rounds, no training, no fresh processes.",
)
def bench(model: str, photo_model: str, output: Path, peers: Path | None, quick: bool) -> None:
    """Measures decoding, start-up, photographs and training against the machine's peak; 6 to 9 minutes."""
    from maskmend.benchmark.run import bench as run
    from maskmend.cli.progress import stages

    options = [f"--model {model}"] if model != "cats64" else []
    options += [f"--photo-model {photo_model}"] if photo_model != "photo" else []
    options += ["--peers FOLDER"] if peers else []
    options += ["--quick"] if quick else []
    with stages() as progress:
        table = run(
            model,
            output,
            photo_model=photo_model,
            quick=quick,
            peers=peers,
            command=" ".join(["maskmend bench", *options]),
            progress=progress,
        )
    click.echo(table)
    click.echo(f"wrote {output / 'bench.json'} and {output / 'bench.md'}")
