"""`maskmend inpaint`: its options, and which of its four ways of filling they select."""

import sys
from pathlib import Path
from typing import Any

import click

from maskmend.assets import DEFAULT
from maskmend.cli.inpaint_picture import PIPE, inpaint_picture
from maskmend.cli.many_pictures import ONLY_MANY, many_pictures
from maskmend.cli.mask_reading import mask_options, mask_reading_options
from maskmend.cli.options import (
    DEVICE,
    PATH,
    PLACE,
    Choice,
    Filler,
    SettingOption,
    default_settings,
    listed,
    refuse_options,
)
from maskmend.cli.painted_mask import painted_mask_options, read_painted
from maskmend.errors import ConfigError
from maskmend.settings import INFILLS, ORDERS, PRECISIONS, SCHEDULES, SEAMS

SENSIBLE = 64
"""Number of fills of a hole above which confirmation is asked for."""


class Inpaint(click.Command):
    """Ends its help with the settings that have no option of their own."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = {parameter.name for parameter in self.params}
        others = {name: value for name, value in default_settings().items() if name not in own}
        with formatter.section(f"Settings for --set, as {DEFAULT} has them; their meaning: docs/settings.md"):
            formatter.write_text(
                ", ".join(f"{name}={'none' if value is None else value}" for name, value in others.items())
            )


@click.command(cls=Inpaint)
@click.argument("image", type=PATH, required=False)
@click.option(
    "--mask",
    "mask_path",
    type=PLACE,
    help="White (or erased, in an image with alpha) is filled. With --input: one mask for all pictures.",
)
@click.option(
    "--guide",
    "guide_path",
    type=PLACE,
    help="Colours to draw from: a picture of the image's size, transparent where nothing is painted. With "
    "--input: one for all pictures, or a folder with one for each, of its name.",
)
@click.option(
    "--extend",
    metavar="SIDE=LENGTH,...",
    help="Fill new canvas beside the image: left=200,right=10%; also top, bottom. Needs no --mask.",
)
@click.option(
    "--input",
    "folder",
    type=PLACE,
    help="Instead of IMAGE: a folder of images, with --masks or --mask; or tar shards, Parquet files, a URL.",
)
@click.option(
    "--watch",
    "watched",
    type=PATH,
    metavar="FOLDER",
    help="Like --input, but keep watching: fill each new picture of the folder once it is complete, until "
    "Ctrl-C.",
)
@click.option("--masks", "mask_folder", type=PLACE, help="Folder of masks: one for each image, of its name.")
@click.option(
    "-o",
    "--output",
    type=PLACE,
    required=True,
    help="File for the result, or a folder; .png, .webp and .tif keep known pixels bit-identical.",
)
@click.option(
    "--format",
    "suffix",
    type=Choice(["png", "jpg", "webp", "tif"]),
    help="Format of all results with --input, instead of each image's own; with --output -, instead of png.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="With --input: replace what the output folder holds. With IMAGE: the output may be IMAGE itself.",
)
@click.option(
    "--layout",
    type=Choice(["coursework", "lab"]),
    metavar="[coursework]",
    help="IMAGE and OUTPUT are folders as in the coursework: masked_image/ and mask64/ in, no --mask.",
)
@click.option("--model", default="default", show_default=True, help="Shipped name, model folder, or hub id.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Different fills; written as OUTPUT-1, OUTPUT-2, ..., and the best of them as OUTPUT.",
)
@click.option("--yes", is_flag=True, help=f"Do not ask for confirmation of more than {SENSIBLE} --samples.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same fill.")
@click.option("--steps", cls=SettingOption, type=int, help="Decoding steps.")
@click.option("--schedule", cls=SettingOption, help=f"{listed(SCHEDULES)}.")
@click.option("--order", cls=SettingOption, help=f"{listed(ORDERS)}.")
@click.option("--temperature", cls=SettingOption, type=float, help="Below 1 safer, above 1 more varied.")
@click.option("--seam", cls=SettingOption, help=f"{listed(SEAMS)}.")
@click.option(
    "--infill",
    cls=SettingOption,
    help=f"How the hole is filled before encoding: {listed(INFILLS)}.",
)
@click.option("--ring", cls=SettingOption, type=int, help="Predict this many tokens around the hole again.")
@click.option(
    "--label", cls=SettingOption, help="Class to fill with, for models with classes: name, number or auto."
)
@click.option("--prompt", cls=SettingOption, help="Text prompt for the fill, for models that take prompts.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other setting, listed below: --set top_p=0.9; can be repeated.",
)
@mask_reading_options
@click.option(
    "--convert",
    is_flag=True,
    help="Convert 16 bits a channel to 8 and CMYK to sRGB by its profile, and take the first frame of an "
    "animation.",
)
@click.option("--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of JPEG output.")
@click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0, min_open=True),
    default=64.0,
    show_default=True,
    help="Largest image and mask, read from the file's header.",
)
@DEVICE
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    help=f"Number format of decoding: {listed(PRECISIONS)}.",
)
@click.option("--show", is_flag=True, help="Show the picture and its fills in the terminal, where it can.")
@painted_mask_options
@many_pictures
@click.option("--uncertainty", type=PATH, help="Also write a map of how uncertain the fill is.")
def inpaint(
    image: Path | None,
    mask_path: Any,
    guide_path: Any,
    extend: str | None,
    folder: Path | str | None,
    watched: Path | None,
    mask_folder: Path | str | None,
    output: Any,
    suffix: str | None,
    overwrite: bool,
    layout: str | None,
    model: str,
    samples: int,
    yes: bool,
    seed: int,
    assignments: tuple[str, ...],
    growth: int,
    fit_mask: bool,
    invert_mask: bool,
    mask_channel: Any,
    mask_threshold: float,
    mask_photo_check: Any,
    convert: bool,
    quality: int,
    max_megapixels: float,
    device: str,
    precision: str,
    uncertainty: Path | None,
    engine: str | None,
    shard: str | None,
    seed_by: str,
    write_as: str | None,
    chunk: int,
    workers: int,
    retry_failed: bool,
    metrics: Path | None,
    mask_boxes: tuple[str, ...],
    mask_colors: tuple[str, ...],
    tolerance: int,
    context_box: str | None,
    show: bool,
    **settings: Any,
) -> None:
    """Fills the masked part of IMAGE, or of every image of a folder (--input, --masks), of tar shards or
    Parquet files, here or in object storage.

    IMAGE or --mask may be - for standard input, --output - for standard output.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    filler = Filler(model=model, device=device, precision=precision, given=given, assignments=assignments)
    reading = mask_options(fit_mask, invert_mask, mask_channel, mask_threshold, mask_photo_check)
    painted, context = read_painted(mask_boxes, mask_colors, tolerance, context_box)
    if samples > SENSIBLE and not yes and layout is None:
        _ask(samples, PIPE in (image, mask_path))
    if watched is not None:
        refuse_options("--watch", {"folder": "--input", "overwrite": ""} | dict.fromkeys(ONLY_MANY, ""))
        places = {"--masks": mask_folder, "--mask": mask_path, "--guide": guide_path, "--output": output}
        _refuse_urls("what is watched for is", places)
    if folder is not None or watched is not None:
        source = "--input" if watched is None else "--watch"
        refuse_options(source, {"image": "IMAGE", "layout": "", "uncertainty": "", "show": ""})
        if output == PIPE:
            raise ConfigError(f"--output - takes one picture: with {source} give a folder")
        from maskmend.cli.many_pictures import fill_many, is_bulk

        if watched is None and is_bulk(folder, mask_path, mask_folder, output, seed_by, guide_path):
            fill_many(
                folder, output, filler, masks=mask_folder, mask=mask_path, guides=guide_path,
                engine=engine or "local",
                shard=shard, form=write_as, chunk=chunk, workers=workers, retry_failed=retry_failed,
                metrics=metrics, samples=samples, seed=seed, quality=quality, overwrite=overwrite,
                growth=growth, reading=reading, suffix=suffix, max_pixels=round(max_megapixels * 1e6),
                convert=convert, painted=painted, extend=extend, context_box=context,
            )  # fmt: skip
            return
        masks = mask_path or mask_folder
        if masks is None and extend is None and not painted:
            raise click.MissingParameter(param_hint="'--masks'", param_type="option")
        if mask_folder is not None and mask_path is not None:
            raise ConfigError("--masks and --mask (one for all pictures) exclude each other: leave one out")
        if mask_path is not None and not mask_path.is_file():
            raise ConfigError(
                f"no mask at {mask_path}: with {source} give a picture file, or a folder as --masks"
            )
        from maskmend.cli.inpaint_folder import inpaint_folder
        from maskmend.cli.inpaint_watch import inpaint_watch

        fill = inpaint_folder if watched is None else inpaint_watch
        fill(
            Path(watched or str(folder)), None if masks is None else Path(masks), output, suffix, filler,
            samples=samples, seed=seed, quality=quality, overwrite=overwrite, growth=growth, reading=reading,
            max_pixels=round(max_megapixels * 1e6), convert=convert, painted=painted, extend=extend,
            context_box=context, guides=_found_guides(guide_path),
        )  # fmt: skip
        return
    if image is None:
        raise click.MissingParameter(param_hint="'IMAGE'", param_type="argument")
    refuse_options("IMAGE", {"mask_folder": "--masks"} | dict.fromkeys(ONLY_MANY, ""))
    _refuse_urls("one picture is", {"--output": output, "--mask": mask_path, "--guide": guide_path})
    if output != PIPE:
        refuse_options("an output with a name", {"suffix": "--format"})
    if layout is not None:
        from maskmend.cli.inpaint_coursework import inpaint_coursework

        inpaint_coursework(image, output, filler, seed, fit_mask)
        return
    if mask_path is None and extend is None and not painted:
        raise ConfigError(
            "nothing to fill: give --mask FILE, --mask-box or --mask-color, or --extend for new canvas"
        )
    inpaint_picture(
        image, mask_path, output, uncertainty, suffix, filler,
        samples=samples, seed=seed, quality=quality, overwrite=overwrite, growth=growth, reading=reading,
            max_pixels=round(max_megapixels * 1e6), convert=convert,
        guide_path=guide_path, extend=extend, painted_mask=painted, context_box=context, show=show,
    )  # fmt: skip


def _refuse_urls(what: str, places: dict[str, Any]) -> None:
    """Raises ConfigError for one of `places`, by the options that name them, that is a URL."""
    for written, place in places.items():
        if isinstance(place, str):
            raise ConfigError(f"{written} {place}: {what} read and written on this machine: give a path")


def _found_guides(guides: Path | None) -> Path | None:
    """Raises ConfigError for what is neither a folder nor a file."""
    if guides is not None and not guides.exists():
        raise ConfigError(
            f"no guide at {guides}: with --input give one picture for all, or a folder of guides with the "
            "pictures' names"
        )
    return guides


def _ask(samples: int, piped: bool) -> None:
    """Asks for confirmation of many samples. Raises ConfigError without a terminal."""
    if piped or sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(f"--samples {samples} writes a file for each fill: add --yes to confirm")
    question = (
        f"--samples {samples} writes {samples} fills of each hole, a file for each; 4 to 8 show well what "
        "the model can do. Make them all?"
    )
    if not click.confirm(question, err=True):
        raise ConfigError(f"--samples {samples} was not confirmed: nothing was written")
