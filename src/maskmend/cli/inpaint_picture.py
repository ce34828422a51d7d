"""`maskmend inpaint IMAGE`: one picture, from files or standard input, into files or standard output."""

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import format_filename as shown

from maskmend.cli.options import Filler, announce, refuse_options, working
from maskmend.cli.showing import MOST, show_pictures
from maskmend.cli.window_report import LongFill, WindowReport
from maskmend.errors import ConfigError
from maskmend.progress import duration

if TYPE_CHECKING:
    import numpy as np

    from maskmend.fill.levels import LevelProgress
    from maskmend.fill.result import Inpainted
    from maskmend.images.picture import Picture
    from maskmend.masks.box import Box
    from maskmend.masks.options import MaskOptions
    from maskmend.masks.painted import PaintedMask

PIPE = Path("-")
"""How standard input and output are written, in place of a file."""
MANY = 8
"""Names of results beyond which a list of them is shortened."""


def inpaint_picture(
    image: Path,
    mask_path: Path | None,
    output: Path,
    uncertainty: Path | None,
    suffix: str | None,
    filler: Filler,
    *,
    guide_path: Path | None,
    extend: str | None,
    painted_mask: "PaintedMask",
    context_box: "Box | None",
    show: bool,
    samples: int,
    seed: int,
    quality: int,
    overwrite: bool,
    growth: int,
    reading: "MaskOptions",
    max_pixels: int,
    convert: bool,
) -> None:
    """Fills one picture and reports the result: on standard error where the picture goes to standard output.

    `suffix` is the format for standard output; that of a file is in its name. Without a mask what is
    painted (`painted_mask`) and the canvas that `extend` adds are filled.
    """
    from maskmend.batch.samples import fill_samples
    from maskmend.fill.context_box import cut_to_box
    from maskmend.fill.events import FillEvents
    from maskmend.images import picture as images
    from maskmend.images import writing
    from maskmend.images.canvas import extend_canvas
    from maskmend.masks.morphology import grow
    from maskmend.masks.reading import reads_alpha
    from maskmend.storage.files import write_files

    piped = output == PIPE
    if [image, mask_path, guide_path].count(PIPE) > 1:
        raise ConfigError("standard input holds one picture: of IMAGE, --mask and --guide one can be -")
    if piped:
        _check_pipe(samples)
        refuse_options("--output -", {"show": ""})
    picture = before = _read_picture(_source(image), max_pixels, convert)
    if extend is not None:
        picture, _ = extend_canvas(before, extend, max_pixels=max_pixels)
    best = output if piped else _named(image, output)
    outputs = [] if piped else _numbered(best, samples)
    written = [] if piped else list(dict.fromkeys([*outputs, best]))
    _check_files(written, uncertainty, picture, image, {"mask": mask_path, "guide": guide_path})
    if not overwrite and image.resolve() in {path.resolve() for path in written}:
        raise ConfigError(
            f"--output {output} is the image itself, which would be lost: add --overwrite if meant"
        )
    kind = writing.WRITABLE[f".{suffix or 'png'}" if piped else outputs[0].suffix.lower()]
    if piped:
        writing.check_holds(kind, picture)  # for files this is checked with everything else about them
    mask_source = None if mask_path is None else _source(mask_path)
    hole = (
        None if mask_source is None else _read_mask(mask_source, before.pixels.shape[:2], max_pixels, reading)
    )
    hole = painted_mask.joined(before, hole)
    mask = hole if extend is None else extend_canvas(before, extend, mask=hole, max_pixels=max_pixels)[1]
    assert mask is not None  # a mask, a painted one or an extension is given
    mask = grow(mask, growth)
    if context_box is not None:
        cut_to_box(picture, mask, context_box)  # reports an invalid box before the model is loaded
    guide = None if guide_path is None else _read_guide(_source(guide_path), mask, max_pixels, convert)
    pipe, chosen = filler.load()
    spent, begun, chosen_one = 0.0, time.monotonic(), 0
    result: Inpainted | None = None
    seen: list[Picture] = [picture]
    with working("filling") as status:
        settings, long = pipe.defaults.changed(**chosen), LongFill()
        on_level = LevelReport(status, samples, long)
        on_preview = WindowReport(
            status, settings.steps, samples, finer_steps=settings.detail_steps, long=long
        )
        try:
            for part in fill_samples(
                pipe,
                picture,
                mask,
                samples=samples,
                seed=seed,
                guide=guide,
                context_box=context_box,
                events=FillEvents(on_level=on_level, on_preview=on_preview),
                **chosen,
            ):
                files: dict[Path, bytes] = {}
                if not piped:
                    numbered = outputs[part.first : samples - part.left]
                    for path, filled in zip(numbered, part.result.pictures, strict=True):
                        files[path] = writing.encode_image(filled, path, quality)
                    chosen_one = part.best
                    kept = outputs[chosen_one]
                    files[best] = files[kept] if kept in files else kept.read_bytes()
                if uncertainty is not None and part.first == 0:
                    from maskmend.evaluation.contact_sheet import uncertainty_map

                    most = math.log(pipe.transformer.config.codes)
                    levels = uncertainty_map(part.result.uncertainty, picture.pixels, most)
                    files[uncertainty] = writing.encode_image(images.picture_from(levels), uncertainty)
                write_files(files)
                result = part.result
                seen += result.pictures[: max(0, MOST + 1 - len(seen))]
                spent += sum(pipe.seconds.values())
                done = on_level.before = on_preview.before = samples - part.left
                left = (time.monotonic() - begun) / done * part.left
                status.update(f"filled {done} of {samples}, about {duration(left)} left")
        except KeyboardInterrupt:
            written = on_level.before
            kept = f"; {shown(best)} is the best of the {written} that are written" if written else ""
            announce(f"stopped{kept}")
            sys.exit(130)
    assert result is not None  # there is one sample at least
    if piped:
        sys.stdout.buffer.write(writing.encode_picture(result.pictures[0], kind, quality=quality))
        sys.stdout.buffer.flush()  # raises the error of a full disk here
    for what, one in (("the image", before), ("the guide", guide)):
        if one is not None and one.converted:
            click.echo(f"{what} was converted: {', '.join(one.converted)}", err=True)
    if not result.regions:  # nothing was filled
        click.echo(result.note, err=piped)
        return
    share = 100 * float(mask.mean())
    count = int(mask.sum())
    part = f"{share:.1f} %" if share >= 0.05 else f"{count} pixel{'s' if count > 1 else ''}"
    # File names may hold bytes that are no UTF-8, which a terminal cannot show.
    what = "standard input" if image == PIPE else shown(image)
    where = "standard output" if piped else _listed(outputs)
    click.echo(f"filled {part} of {what} in {spent:.2f} s: {where}", err=piped)
    if result.note:
        click.echo(result.note, err=True)
    if mask_source is not None and reading.channel == "auto" and reads_alpha(mask_source):
        click.echo(
            "the mask was read by its alpha: --mask-channel luma takes its brightness instead", err=piped
        )
    if samples > 1:
        click.echo(f"best: {shown(outputs[chosen_one])}, also written as {shown(best)}", err=piped)
    if show:
        show_pictures(seen)
    if kind == "JPEG":
        instead = "leave --format out" if piped else "write .png"
        click.echo(f"JPEG re-encodes every pixel; {instead} to keep the known ones to the bit", err=piped)


class LevelReport:
    """Shows the progress of a wide hole's finer levels on the terminal.

    `long` announces them before they begin if they will take long, unless it has announced the fill.
    """

    def __init__(self, status: Any, samples: int, long: LongFill | None = None) -> None:
        self.status, self.samples, self.long = status, samples, long or LongFill()
        self.before = 0
        """Fills that were finished in calls before this one."""

    def __call__(self, progress: "LevelProgress") -> None:
        sample = self.before + progress.sample
        left = progress.seconds_left * (self.samples - sample)
        if sample == progress.windows == 0:
            self.long(
                left,
                f"a wide hole: {progress.total * self.samples} windows on {progress.levels} finer levels, "
                f"about {duration(left)} (--set detail=0 stops at the coarse fill)",
            )
        which = f" of fill {sample + 1} of {self.samples}" if self.samples > 1 else ""
        self.status.update(
            f"filling: level {progress.level} of {progress.levels}, window {progress.windows} of "
            f"{progress.total}{which}, about {duration(left)} left"
        )


def _check_pipe(samples: int) -> None:
    """Raises ConfigError if the output cannot be written to standard output."""
    if samples > 1:
        raise ConfigError(f"--output - takes one fill, not {samples}: name a file, or leave --samples out")
    if sys.stdout is None:  # with >&-
        raise ConfigError("--output - goes nowhere, standard output is closed: redirect it, or name a file")
    if sys.stdout.isatty():
        raise ConfigError("--output - would write a picture to the terminal: redirect it, or name a file")


def _source(path: Path) -> Path | bytes:
    """The path, or what standard input holds. Raises ConfigError if that is closed."""
    if path != PIPE:
        return path
    if sys.stdin is None:  # with <&-
        raise ConfigError("standard input is closed: send a picture to it, or name a file")
    return sys.stdin.buffer.read()


def _read_picture(source: Path | bytes, max_pixels: int, convert: bool) -> "Picture":
    from maskmend.images.picture import load_image, read_image

    if isinstance(source, bytes):
        return read_image(source, max_pixels=max_pixels, convert=convert)
    return load_image(source, max_pixels=max_pixels, convert=convert)


def _read_mask(
    source: Path | bytes, size: tuple[int, int], max_pixels: int, reading: "MaskOptions"
) -> "np.ndarray":
    from maskmend.masks.reading import load_mask, read_mask

    if isinstance(source, bytes):
        return read_mask(source, size=size, options=reading, note=_say, max_pixels=max_pixels)
    return load_mask(source, size=size, options=reading, note=_say, max_pixels=max_pixels)


def _say(note: str) -> None:
    click.echo(note, err=True)


def _read_guide(source: Path | bytes, mask: "np.ndarray", max_pixels: int, convert: bool) -> "Picture":
    """The guide, checked to fit the picture. Raises ImageError."""
    from maskmend.errors import ImageError
    from maskmend.fill.guide import as_guide

    try:
        picture = _read_picture(source, max_pixels, convert)
    except ImageError as error:
        raise ImageError(f"the guide cannot be used: {error}") from error
    if as_guide(picture, mask) is None:
        click.echo("the guide paints nothing into the hole: it is filled as without one", err=True)
    return picture


def _named(image: Path, output: Path) -> Path:
    """Where the best fill goes: `output`, or the image's name in that folder."""
    from maskmend.images.writing import WRITABLE

    if output.is_dir():
        if image == PIPE:
            raise ConfigError(
                f"--output {output} is a folder: an image from standard input has no name for it, give one"
            )
        kept = image.suffix.lower() in WRITABLE
        output /= image.name if kept else image.with_suffix(".png").name
        if output.resolve() == image.resolve():
            raise ConfigError(f"--output {output.parent} is the image's own folder: give the result a name")
    return output


def _numbered(output: Path, samples: int) -> list[Path]:
    """A name for each fill: `output`; for several fills with numbers that sort."""
    if samples == 1:
        return [output]
    digits = len(str(samples))
    return [output.with_stem(f"{output.stem}-{n:0{digits}}") for n in range(1, samples + 1)]


def _listed(paths: list[Path]) -> str:
    """Their names; if there are many, the first two and the last."""
    if len(paths) > MANY:
        return f"{shown(paths[0])}, {shown(paths[1])} ... {shown(paths[-1])}"
    return ", ".join(map(shown, paths))


def _check_files(
    outputs: list[Path],
    uncertainty: Path | None,
    picture: "Picture",
    image: Path,
    others: dict[str, Path | None],
) -> None:
    """Raises an error for what cannot be written, and for what would be lost, before the work."""
    from maskmend.images.writing import check_writable

    for path in outputs:
        check_writable(path, alpha=picture.alpha is not None, picture=picture)
    if uncertainty is not None:
        check_writable(uncertainty, alpha=False)
        if uncertainty.resolve() in {path.resolve() for path in outputs}:
            raise ConfigError(f"--uncertainty {uncertainty} is where the fill goes: give it another name")
        if uncertainty.resolve() == image.resolve():
            raise ConfigError(f"--uncertainty {uncertainty} is the image itself: give it another name")
    for path in [*outputs, *([] if uncertainty is None else [uncertainty])]:
        for what, other in others.items():
            if other is not None and path.resolve() == other.resolve():
                raise ConfigError(f"{path} is the {what}, which would be lost: give the output another name")
