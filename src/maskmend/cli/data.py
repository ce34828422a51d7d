"""`maskmend data`: data sets for training, prepared once."""

from pathlib import Path

import click

from maskmend.cli.options import PATH, PLACE, Commands
from maskmend.errors import ConfigError


@click.group(cls=Commands)
def data() -> None:
    """Prepares data sets for training: the index of tar shards, and shards of tokens."""


@data.command()
@click.argument("shards", type=PLACE)
@click.option(
    "-o",
    "--output",
    type=PLACE,
    help="Folder or URL for the index (default: beside the shards).",
)
def index(shards: Path | str, output: Path | str | None) -> None:
    """Indexes the pictures in SHARDS: a folder of tar files, one tar file, or a URL of either.

    If a recipe's data.train has an index, pictures are read when they are needed.
    """
    from maskmend.storage.stores import is_url
    from maskmend.training.shards.index import make_index, write_index

    made = make_index(str(shards), log=lambda line: click.echo(line, err=True))
    if output is None and not is_url(shards) and Path(shards).is_file():
        raise ConfigError(f"{shards} is a single file: give a folder for its index with -o")
    place = write_index(made, made.place if output is None else str(output))
    count = len(made.shards)
    click.echo(f"{len(made)} pictures in {count} shard{'s' if count > 1 else ''}; data.train = {place!r}")


@data.command()
@click.argument("source", type=PLACE)
@click.option("--tokenizer", type=PATH, required=True, help="A tokenizer's run folder, or that of a model.")
@click.option("-o", "--output", type=PATH, required=True, help="The folder of the token shards.")
@click.option(
    "--crops",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Crops of each picture: 1 is the central square; more are at random positions and scales.",
)
@click.option(
    "--side",
    type=click.IntRange(min=0),
    default=0,
    help="Pictures are scaled to a shorter side of this many pixels, like data.side of a recipe.",
)
@click.option(
    "--crop-scale",
    type=click.FloatRange(0.1, 1),
    default=1.0,
    show_default=True,
    help="Smallest side of a random crop, as a share of the shorter side.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the crops.")
@click.option(
    "--shard-size",
    type=click.IntRange(min=1),
    default=4096,
    show_default=True,
    help="Squares a shard.",
)
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Encoded at once.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
def tokenize(
    source: Path | str,
    tokenizer: Path,
    output: Path,
    crops: int,
    side: int,
    crop_scale: float,
    seed: int,
    shard_size: int,
    batch: int,
    device: str,
) -> None:
    """Encodes the pictures of SOURCE (a folder, tar files, or a path with an index) once, for training
    transformers. The tokens of each picture and of its mirror image are stored beside it."""
    from maskmend.cli.progress import stages
    from maskmend.inference.devices import pick_device
    from maskmend.pretrained.component import load_tokenizer
    from maskmend.pretrained.lookup import component_folder
    from maskmend.training.shards.index import find_index
    from maskmend.training.shards.sources import open_pictures
    from maskmend.training.shards.tokenizing import Squares, tokenize_pictures

    model = load_tokenizer(component_folder(tokenizer, "tokenizer")).to(pick_device(device))
    resolution = model.config.resolution
    # From an index each picture is read once, in order, so none of them has to stay in memory.
    cache = 0 if find_index(str(source)) else 4 << 30
    pictures = open_pictures(str(source), max(resolution, side), cache_bytes=cache)
    squares = Squares(count=crops, size=resolution, scale=crop_scale, seed=seed)
    with stages() as stage:
        place = tokenize_pictures(
            pictures,
            model,
            output,
            squares,
            shard_size=shard_size,
            batch=batch,
            progress=lambda done: stage("encoding", done, len(pictures) * crops),
        )
    for line in pictures.skipped:
        click.echo(f"skipped {line}", err=True)
    click.echo(f"{len(pictures) * crops} squares encoded; data.train = {place!r}")
