"""`maskmend convert`: checkpoints of other projects become model folders."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maskmend.cli.options import PATH, Choice, Commands, working

if TYPE_CHECKING:
    from maskmend.importers.writing import Conversion


class Kinds(Commands):
    """The group; for known models that cannot be converted it explains why."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from maskmend.importers.sources import refuse

        if args:
            refuse(args[0])
        return super().resolve_command(ctx, args)


@click.group(cls=Kinds)
def convert() -> None:
    """Converts models of other projects into model folders. SOURCES are files, a folder that holds them, or a
    hub id."""


_revision = click.option("--revision", help="Branch, tag or commit of a hub id (default: the main branch).")


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--half/--full", default=False, show_default=True, help="Weights in float16 or float32."
        ),
        _revision,
        click.option("-o", "--output", type=PATH, required=True, help="The model folder to write."),
        click.argument("sources", nargs=-1, required=True),
    ):
        command = option(command)
    return command


_heads = click.option(
    "--heads",
    type=click.IntRange(min=1),
    help="Number of attention heads, for a width that was not published.",
)


def _run(
    kind: str,
    sources: Sequence[str],
    wanted: Sequence[Sequence[str]],
    output: Path,
    half: bool,
    made: "Callable[[tuple[Path, ...]], Conversion]",
    *,
    revision: str | None = None,
    folder: bool = False,
    needed: Sequence[str] = (),
) -> None:
    """Finds the files (with `folder`, the one folder), converts them, writes the model and reports it."""
    from maskmend.importers.sources import find_files, find_folder
    from maskmend.importers.writing import check_free, write_conversion

    check_free(output)
    with working(f"reading {kind}") as status:

        def downloading(done: int, total: int) -> None:
            status.update(f"downloading {100 * done // max(1, total)} % of {total / 1e9:.2f} GB")

        if folder:
            names = [name for names in wanted for name in names]
            found = find_folder(
                sources[0], names, kind, needed=needed, revision=revision, progress=downloading
            )
        else:
            found = find_files(sources, wanted, kind, revision=revision, progress=downloading)
        status.update(f"reading {kind}")
        conversion = made(found.files)
        if found.revision is not None:
            card = f"{conversion.card}- Downloaded: {found.revision}.\n"
            conversion = replace(conversion, card=card)
        write_conversion(
            conversion,
            output,
            half=half,
            progress=lambda done, total: status.update(f"writing {100 * done // total} %"),
        )
    for note in conversion.notes:
        click.echo(note)
    config, side = conversion.model.config, conversion.tokenizer.config.resolution
    classes = f", {config.labels} classes" if config.labels else ""
    click.echo(
        f"wrote {output}: {side}x{side} pictures, {config.grid}x{config.grid} tokens, {config.codes} codes"
        f"{classes}; use it with --model {output}"
    )


@convert.command()
@_options
@_heads
def mage(sources: tuple[str, ...], output: Path, revision: str | None, half: bool, heads: int | None) -> None:
    """MAGE (LTH14/mage), base or large: the file of the network, which holds its tokenizer too."""
    from maskmend.importers.mage import convert_mage

    def made(files: tuple[Path, ...]) -> "Conversion":
        return convert_mage(files[0], heads=heads)

    _run("mage", sources, [["mage*.pth"]], output, half, made, revision=revision)


@convert.command()
@_options
@_heads
def halton(
    sources: tuple[str, ...], output: Path, revision: str | None, half: bool, heads: int | None
) -> None:
    """Halton-MaskGIT (valeoai): the network's file and its tokenizer's, vq_ds16_c2i.pt."""
    from maskmend.importers.halton import convert_halton

    wanted = [["ImageNet_*.pth"], ["vq_ds16_c2i.pt"]]

    def made(files: tuple[Path, ...]) -> "Conversion":
        return convert_halton(*files, heads=heads)

    _run("halton", sources, wanted, output, half, made, revision=revision)


@convert.command()
@_options
def maskgit(sources: tuple[str, ...], output: Path, revision: str | None, half: bool) -> None:
    """Google's MaskGIT: maskgit_imagenet256_checkpoint and tokenizer_imagenet256_checkpoint, or 512's."""
    from maskmend.importers.maskgit import convert_maskgit

    wanted = [["maskgit_imagenet*_checkpoint"], ["tokenizer_imagenet*_checkpoint"]]

    def made(files: tuple[Path, ...]) -> "Conversion":
        return convert_maskgit(*files)

    _run("maskgit", sources, wanted, output, half, made, revision=revision)


@convert.command()
@_options
@_heads
def valeoai(
    sources: tuple[str, ...], output: Path, revision: str | None, half: bool, heads: int | None
) -> None:
    """valeoai's first MaskGIT (v1.0): MaskGIT_ImageNet_*.pth and the VQGAN's last.ckpt."""
    from maskmend.importers.valeoai import convert_valeoai

    wanted = [["MaskGIT_ImageNet_*.pth", "*.pth"], ["last.ckpt"]]

    def made(files: tuple[Path, ...]) -> "Conversion":
        return convert_valeoai(*files, heads=heads)

    _run("valeoai", sources, wanted, output, half, made, revision=revision)


@convert.command()
@click.argument("source")
@click.option("-o", "--output", type=PATH, required=True, help="The model folder to write.")
@click.option("--half/--full", default=False, show_default=True, help="Weights in float16 or float32.")
@_revision
@click.option("--prompts", is_flag=True, help="Keep what prompts need; otherwise the model takes no prompts.")
def amused(source: str, output: Path, half: bool, revision: str | None, prompts: bool) -> None:
    """aMUSEd, 256 or 512: the folder as diffusers stores it, or its hub id, such as amused/amused-256."""
    from maskmend.importers.amused.component import DOWNLOADED, NEEDED
    from maskmend.importers.amused.convert import convert_amused

    def made(found: tuple[Path, ...]) -> "Conversion":
        return convert_amused(found[0], prompts=prompts)

    _run(
        "amused", [source], [DOWNLOADED], output, half, made,
        revision=revision, folder=True, needed=NEEDED,
    )  # fmt: skip


@convert.command()
@click.argument("vqgan", type=PATH)
@click.argument("transformer", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The model folder to write.")
@click.option(
    "--heads", type=click.IntRange(min=1), help="Heads of the transformer's attention (16 unless given)."
)
@click.option(
    "--pixels",
    type=Choice(["coursework", "signed", "lab"]),
    metavar="[coursework|signed]",
    default="coursework",
    show_default=True,
    help="How the VQGAN's pixels were normalised: by the coursework's mean and deviation, or to [-1, 1].",
)
@click.option("--half/--full", default=False, show_default=True, help="Weights in float16 or float32.")
def coursework(
    vqgan: Path, transformer: Path, output: Path, heads: int | None, pixels: str, half: bool
) -> None:
    """The coursework's checkpoints, VQGAN and TRANSFORMER (one file may hold both)."""
    from maskmend.importers.coursework.convert import as_conversion, convert_coursework
    from maskmend.importers.writing import check_free, write_conversion

    check_free(output)
    with working("converting"):
        converted = convert_coursework(vqgan, transformer, heads=heads, pixels=pixels)
        write_conversion(as_conversion(converted, vqgan, transformer), output, half=half)
    for note in converted.notes:
        click.echo(note)
    size, config = converted.tokenizer.config.resolution, converted.transformer.config
    click.echo(
        f"wrote {output}: {size}x{size} pictures, {config.grid}x{config.grid} tokens, {config.codes} codes, "
        f"{config.layers} blocks of {config.heads} heads; use it with --model {output}"
    )


# The name of the command in older versions.
lab = copy.copy(coursework)
lab.hidden = True
convert.add_command(lab, "lab")
