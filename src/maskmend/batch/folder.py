"""A folder of images and a folder of masks, filled one after the other into a third.

Files belong together by their path without suffix. A picture that cannot be filled is noted and passed over;
what lies in the output folder already is not made again, so that a run that was stopped goes on where it was.
`fills.json` there (`fills_record`) says how the pictures were made; other settings do not go on with them.
With `overwrite` pictures made otherwise stay until the new ones take their place; until then `fills.json`
names them.
"""

import contextlib
import csv
import errno
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskmend.batch.manifest import begin_record
from maskmend.batch.samples import fill_samples
from maskmend.errors import ConfigError, DataError, OutputError
from maskmend.files import lies_there, write_files
from maskmend.fill.preparation import NO_GUIDE, Preparation
from maskmend.fill.result import Inpainted, joined_notes
from maskmend.images.listing import SUFFIXES
from maskmend.images.picture import MAX_PIXELS, Picture
from maskmend.images.writing import WRITABLE, encode_image
from maskmend.masks.box import Box
from maskmend.masks.drawn import NOTHING_DRAWN, DrawnMask
from maskmend.masks.morphology import grow
from maskmend.masks.options import MaskOptions
from maskmend.masks.reading import READ_AS_IT_IS
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.folder import model_hash
from maskmend.progress import StageProgress
from maskmend.seeds import seeds_from
from maskmend.storage.temporary import remove_stale

FAILURES = "failures.csv"
FILLABLE = SUFFIXES | {".gif", ".avif", ".heic", ".heif"}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One image of the folder."""

    name: str
    """Its path within the folder."""
    image: Path
    outputs: tuple[Path, ...]
    """One for each sample."""
    mask: Path | None
    guide: Path | None = None
    trouble: str | None = None
    """Why it cannot be filled, as far as its name tells."""

    @property
    def done(self) -> bool:
        return all(lies_there(path) for path in self.outputs)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    filled: int
    skipped: int
    failures: dict[str, str]
    """What went wrong, by the image's path within its folder."""
    likeliest: dict[str, str]
    """Of several fills the best one, as a path within the output folder, by the image's
    path. Of images done before as well, where it is known; of those that failed it is not told."""
    notes: dict[str, str]
    """What is to be known of a fill, such as that its picture is unlike what the model learnt, by the image's
    path. Of the same images."""


def plan_folder(
    images: Path,
    masks: Path | None,
    output: Path,
    *,
    guides: Path | None = None,
    samples: int = 1,
    suffix: str | None = None,
    may_be_empty: bool = False,
) -> list[Task]:
    """What there is to do; results keep their image's format, or take that of `suffix` (".png").

    `masks` is a folder, or a file: one mask for all images; None where none is needed. `guides` likewise;
    images that it has none for are filled without one.

    Formats that are read but not written (BMP, GIF) become PNG. Raises DataError for a folder that is missing
    or, unless it `may_be_empty`, holds no image; ConfigError for an output folder that is one of the others
    or holds one.
    """
    for_all = masks if masks is not None and masks.is_file() else None
    guide = guides if guides is not None and guides.is_file() else None
    others = [one for one in (masks, guides) if one is not None and one not in (for_all, guide)]
    singles = {one.resolve() for one in (for_all, guide) if one is not None}
    for folder in (images, *others):
        if not folder.is_dir():
            raise DataError(f"no folder at {folder}: give a folder of images")
        if output.resolve() == folder.resolve():
            raise ConfigError(f"--output {output} is one of the folders read: choose another")
        if folder.resolve().is_relative_to(output.resolve()):
            raise ConfigError(
                f"--output {output} holds the folder {folder}, whose files results could replace: "
                "choose another, such as a new folder beside it"
            )
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output} is a file: with --input give a folder")
    if suffix is not None and suffix not in WRITABLE:
        raise ConfigError(f"format {suffix!r} cannot be written: choose one of {', '.join(WRITABLE)}")
    known = {} if masks is None or for_all else _by_stem(masks, [images, output])
    painted = {} if guides is None or guide else _by_stem(guides, [images, output])
    tasks, taken = [], set[Path]()
    for path in _images(images, [*others, output]):
        if path.resolve() in singles:
            continue  # the one mask, or guide, may lie among the images
        found = [for_all] if for_all else known.get(_stem(path, images), [])
        trouble = None
        colours = [guide] if guide else painted.get(_stem(path, images), [])
        if len(colours) > 1:
            trouble = f"{len(colours)} guides of that name: {', '.join(p.name for p in colours)}"
        if len(found) != 1 and masks is not None:
            trouble = f"no mask of that name in {masks}"
            if found:
                trouble = f"{len(found)} masks of that name: {', '.join(p.name for p in found)}"
        target = output / path.relative_to(images)
        target = target.with_suffix(suffix or (path.suffix if path.suffix.lower() in WRITABLE else ".png"))
        outputs = (target,)
        if samples > 1:
            outputs = tuple(target.with_stem(f"{target.stem}-{n}") for n in range(1, samples + 1))
        if not taken.isdisjoint(outputs):
            trouble = f"another image's result is called {target.name} too: rename one"
        taken.update(outputs)
        mask = found[0] if len(found) == 1 else None
        name = path.relative_to(images).as_posix()
        tasks.append(
            Task(
                name=name,
                image=path,
                outputs=outputs,
                mask=mask,
                guide=colours[0] if len(colours) == 1 else None,
                trouble=trouble,
            )
        )
    if not tasks and not may_be_empty:
        raise DataError(f"no images under {images}: looked for {', '.join(sorted(FILLABLE))}")
    return tasks


def lone_masks(tasks: Iterable[Task], images: Path, masks: Path | None, output: Path) -> list[Path]:
    """Masks that no image of `tasks` has the name of, in order: of images that are missing, or misspelt."""
    if masks is None or masks.is_file():
        return []
    taken = {_stem(task.image, images) for task in tasks}
    return [path for path in _images(masks, [images, output]) if _stem(path, masks) not in taken]


def fill_folder(
    pipe: InpaintPipeline,
    tasks: Iterable[Task],
    output: Path,
    *,
    samples: int = 1,
    seed: int = 0,
    quality: int = 95,
    overwrite: bool = False,
    growth: int = 0,
    reading: MaskOptions = READ_AS_IT_IS,
    max_pixels: int = MAX_PIXELS,
    convert: bool = False,
    drawn: DrawnMask = NOTHING_DRAWN,
    extend: str | None = None,
    context_box: Box | None = None,
    guided: bool = False,
    progress: StageProgress | None = None,
    **settings: Any,
) -> Outcome:
    """Works through `tasks`; writes `failures.csv` into `output` when there are any, removes an older one if
    not. A run that is stopped leaves the failures so far.

    `reading` says how masks are read; `convert` is an argument of `images.load_image`: pictures that were
    filled without it are not made anew, it is nothing to them. `drawn`, `extend` and `context_box` are fields
    of `fill.preparation.Preparation`; `guided` says that there are guides. One bad file, whatever is wrong
    with it, or one result that cannot be written, stops nothing; a full disk does (OutputError). Raises
    ConfigError for settings that no file could be filled with, and if the folder's pictures were made
    otherwise and are not to be made anew; then nothing was changed.
    """
    tasks = list(tasks)
    preparation = Preparation(
        reading=reading,
        growth=growth,
        drawn=drawn,
        extend=extend,
        context_box=context_box,
        max_pixels=max_pixels,
        convert=convert,
    )
    filled = skipped = 0
    failures: dict[str, str] = {}
    _try_out(seed, samples, quality, growth)
    chosen = {
        "seed": seed,
        "samples": samples,
        "quality": quality,
        "grow": growth,
        "precision": pipe.precision,
    }
    # The photo check changes no pixel.
    names = ("threshold", "fit", "invert", "channel")
    chosen |= {f"mask_{name}": getattr(reading, name) for name in names}
    chosen |= preparation.described() | ({"guide": True} if guided else {})
    chosen |= asdict(pipe.defaults.changed(**settings))
    chosen["model"] = model_hash(pipe.tokenizer, pipe.transformer)[:16]
    output.mkdir(parents=True, exist_ok=True)
    for folder in {path.parent for task in tasks for path in task.outputs}:
        remove_stale(folder)
    made = {task.name for task in tasks if any(lies_there(path) for path in task.outputs)}
    record = begin_record(output, chosen, made, pictures=bool(_images(output, [])), overwrite=overwrite)
    try:
        for number, task in enumerate(tasks, start=1):
            if task.trouble is not None or (task.mask is None and not preparation.needs_no_mask):
                failures[task.name] = task.trouble or "no mask"
            elif task.done and not overwrite and task.name not in record.older:
                skipped += 1
            else:
                try:
                    one = preparation.prepare(task.image, task.mask, task.guide)
                    said = [*one.notes, *([NO_GUIDE] if guided and task.guide is None else [])]
                    after = record
                    for part in fill_samples(
                        pipe,
                        one.picture,
                        one.mask,
                        samples=samples,
                        seed=seed,
                        guide=one.guide,
                        context_box=preparation.context_box,
                        **settings,
                    ):
                        outputs = task.outputs[part.first : samples - part.left]
                        pictures = dict(zip(outputs, part.result.pictures, strict=True))
                        files = {path: _encoded(fill, path, quality) for path, fill in pictures.items()}
                        if not part.left:  # until then the image counts as one that is not done
                            best = task.outputs[part.best].relative_to(output).as_posix()
                            note = joined_notes(*said, _noted(part.result))
                            after = record.after(task.name, best if samples > 1 else None, note)
                        write_files(files if after == record else files | after.file)
                    filled += 1
                    record = after
                except ConfigError:
                    raise  # a setting, and so the same for every file
                except Exception as error:  # what a library makes of a damaged file, it may raise anything
                    if _disk_is_full(error):
                        raise
                    failures[task.name] = " ".join(str(error).split()) or type(error).__name__
            if progress is not None:
                progress("filling", number, len(tasks))
    except BaseException:
        with contextlib.suppress(OutputError):  # what stopped the run is the news
            if failures:  # an older list says more than none
                write_failures(output / FAILURES, failures)
        raise
    write_failures(output / FAILURES, failures)
    told = {
        task.name: record.likeliest[task.name]
        for task in tasks
        if task.name in record.likeliest
        and task.name not in failures
        and output / record.likeliest[task.name] in task.outputs
    }
    names = {task.name for task in tasks} - failures.keys()
    notes = {name: note for name, note in record.notes.items() if name in names}
    return Outcome(filled=filled, skipped=skipped, failures=failures, likeliest=told, notes=notes)


def _try_out(seed: int, samples: int, quality: int, growth: int) -> None:
    """Raises ConfigError for what would fail at every file, before the first is touched."""
    seeds_from(seed, samples)
    if not 1 <= quality <= 100:
        raise ConfigError(f"quality = {quality}: give 1 to 100")
    grow(np.zeros((1, 1), dtype=bool), growth)


def _disk_is_full(error: BaseException) -> bool:
    """Whether no other file could be written either."""
    cause = error.__cause__ if isinstance(error, OutputError) else error
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def _noted(result: Inpainted) -> str | None:
    """What is to be known of a fill, and of the picture that it was made of."""
    words = [f"converted: {', '.join(result.converted)}"] if result.converted else []
    return "; ".join(words + ([result.note] if result.note else [])) or None


def _encoded(picture: Picture, path: Path, quality: int) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode_image(picture, path, quality)


def write_failures(path: Path, failures: dict[str, str]) -> None:
    """The list of what could not be filled; where that is nothing, none is left there."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "reason"))
    table.writerows(failures.items())
    # Names that are no UTF-8 are written as the bytes they are.
    write_files({path: text.getvalue().encode("utf-8", "surrogateescape")})


def _images(folder: Path, without: list[Path]) -> list[Path]:
    """Image files at any depth, in order, outside those of the folders `without` that lie within."""
    whole = folder.resolve()
    inner = [other.resolve() for other in without]
    inner = [other for other in inner if other != whole and other.is_relative_to(whole)]
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in FILLABLE
        and path.is_file()
        and not any(path.resolve().is_relative_to(other) for other in inner)
    ]


def _by_stem(folder: Path, without: list[Path]) -> dict[str, list[Path]]:
    """The folder's images by their path without suffix."""
    found: dict[str, list[Path]] = {}
    for path in _images(folder, without):
        found.setdefault(_stem(path, folder), []).append(path)
    return found


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()
