"""`maskmend masks`."""

import sys
from pathlib import Path

import click
from click import format_filename as shown

from maskmend.cli.options import PATH, SEED, Commands


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
        click.echo(
            "the same command writes the missing masks once the pictures are repaired; the others stay the "
            "same",
            err=True,
        )
        sys.exit(1)
