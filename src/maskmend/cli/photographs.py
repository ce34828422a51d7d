"""`maskmend photographs`."""

import sys
from pathlib import Path

import click

from maskmend.cli.options import ASSIGNMENTS, DEVICE, MIGAN, PATH, PRECISION, REPEATS, SEED, Filler
from maskmend.errors import ConfigError


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("default",),
    show_default=True,
    help="Shipped name, model folder, or hub id; can be repeated, the first is compared in pictures.",
)
@click.option("--images", type=PATH, help="Folder or tar file: central squares at 256x256 pixels.")
@click.option("--whole", type=PATH, help="Folder or tar file: whole photographs at their own size.")
@MIGAN
@click.option(
    "--limit", type=click.IntRange(min=2), help="Only this many photographs of each set, evenly spread."
)
@click.option("--kinds", help="Kinds of holes, separated by commas.  [default: all four]")
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("photographs.md"),
    show_default=True,
    help="The page; pictures and page.json go into a folder of its name beside it.",
)
@click.option(
    "--work", type=PATH, help="Cache folder for fills and features.  [default: work, in the page's folder]"
)
@click.option(
    "--credits", "credit_files", type=PATH, multiple=True, metavar="CSV",
    help="Licences of the photographs (columns file, licence, attribution_url), named under those shown.",
)  # fmt: skip
@REPEATS
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of holes and fills.")
@DEVICE
@PRECISION
@ASSIGNMENTS
def photographs(
    models: tuple[str, ...],
    images: Path | None,
    whole: Path | None,
    migan: Path | None,
    limit: int | None,
    kinds: str | None,
    output: Path,
    work: Path | None,
    credit_files: tuple[Path, ...],
    repeats: int,
    seed: int,
    device: str,
    precision: str,
    assignments: tuple[str, ...],
) -> None:
    """Repairs photographs with our models and with others', and writes scores and pictures as one page;
    continues where it was stopped."""
    if images is None and whole is None:
        raise ConfigError("no photographs: give --images, --whole, or both")

    from maskmend.cli.progress import stages
    from maskmend.experiments.photographs.methods import baselines, our_model
    from maskmend.experiments.photographs.picks import read_credits
    from maskmend.experiments.photographs.run import Comparison, Group, folder_of, repair_photographs
    from maskmend.experiments.photographs.scenes import SIDE, load_scenes
    from maskmend.experiments.photographs.scores import Meter
    from maskmend.inference.devices import pick_device
    from maskmend.perceptual.inception import Inception
    from maskmend.perceptual.lpips import Lpips

    folder = folder_of(output)
    methods = baselines(migan)
    for name in models:
        pipe, chosen = Filler(
            model=name, device=device, precision=precision, given={}, assignments=assignments
        ).load()
        methods.append(our_model(Path(name).name, pipe, chosen))
    groups = []
    if images is not None:
        groups.append(Group(name="squares", scenes=load_scenes(images, SIDE, limit)))
    if whole is not None:
        groups.append(Group(name="whole", scenes=load_scenes(whole, None, limit), whole=True))
    place = pick_device(device)
    kept = work or folder / "work"
    meter = Meter(
        extract=None if images is None else Inception.load(device=place).features,
        distance=Lpips.load("alexnet").to(place),
        folder=kept / "features",
        repeats=repeats,
        device=place,
    )
    wanted = {} if kinds is None else {"kinds": [kind.strip() for kind in kinds.split(",")]}
    comparison = Comparison(
        methods=methods,
        groups=groups,
        meter=meter,
        work=kept,
        seed=seed,
        credits=read_credits(*credit_files),
        **wanted,
    )
    with stages() as progress:
        repair_photographs(comparison, output, command=_command(), progress=progress)
    click.echo(f"wrote {output}, with pictures and page.json in {folder}")


def _command() -> str:
    """The command as it was typed, with only the last part of each path."""
    words = [Path(word).name if "/" in word and not word.startswith("-") else word for word in sys.argv[1:]]
    return " ".join(["maskmend", *words])
