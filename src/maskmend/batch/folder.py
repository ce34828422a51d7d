"""Fills a folder of images with a folder of masks, one by one, into an output folder.

Images and masks are matched by path without suffix. Pictures that cannot be filled are recorded and skipped.
Existing results are not computed again, so an interrupted run can be resumed. `fills.json` in the output
folder (`manifest`) records the settings; a run with different settings is refused. With `overwrite`, old
results stay in place until they are replaced, and `fills.json` lists them until then.
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
from maskmend.fill.preparation import NO_GUIDE, Preparation
from maskmend.fill.result import Inpainted, joined_notes
from maskmend.images.listing import SUFFIXES, files_below
from maskmend.images.opening import MAX_PIXELS
from maskmend.images.picture import Picture
from maskmend.images.writing import WRITABLE, encode_image
from maskmend.masks.box import Box
from maskmend.masks.morphology import grow
from maskmend.masks.options import MaskOptions
from maskmend.masks.painted import NOTHING_PAINTED, PaintedMask
from maskmend.masks.reading import READ_AS_IT_IS
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.hashes import model_hash
from maskmend.progress import StageProgress
from maskmend.seeds import seeds_from
from maskmend.storage.files import file_exists, write_files
from maskmend.storage.temporary import remove_stale

FAILURES = "failures.csv"
FILLABLE = SUFFIXES | {".gif", ".avif", ".heic", ".heif"}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One image of the folder."""

    name: str
    """Path relative to the folder."""
    image: Path
    outputs: tuple[Path, ...]
    """One path per sample."""
    mask: Path | None
    guide: Path | None = None
    trouble: str | None = None
    """Why it cannot be filled, if that is known from the file names."""

    @property
    def done(self) -> bool:
        return all(file_exists(path) for path in self.outputs)


@dataclass(frozen=True, kw_only=True)
class FolderOutcome:
    filled: int
    skipped: int
    failures: dict[str, str]
    """Error messages by the image's path relative to its folder."""
    likeliest: dict[str, str]
    """With several samples: the best fill, as a path relative to the output folder, by the image's path.
    Includes images done in earlier runs where it is known, but not those that failed."""
    notes: dict[str, str]
    """Notes on fills, such as that the picture is unlike the training data, by the image's path. For the same
    images."""


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
    """Lists the tasks. Results keep their image's format, or use that of `suffix` (".png").

    `masks` is a folder, or a file with one mask for all images, or None if no mask is needed. `guides`
    likewise; images without a guide are filled without one.

    Formats that can be read but not written (BMP, GIF) become PNG. Raises DataError for a folder that is
    missing or contains no image (unless it `may_be_empty`), and ConfigError if the output folder is one of
    the input folders or contains one.
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
            continue  # the single mask or guide may be in the images folder
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
            digits = len(str(samples))
            outputs = tuple(target.with_stem(f"{target.stem}-{n:0{digits}}") for n in range(1, samples + 1))
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
    """Masks without an image of the same name in `tasks`, in order."""
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
    painted: PaintedMask = NOTHING_PAINTED,
    extend: str | None = None,
    context_box: Box | None = None,
    guided: bool = False,
    progress: StageProgress | None = None,
    **settings: Any,
) -> FolderOutcome:
    """Fills `tasks` and writes failures to `failures.csv` in `output`; removes an old list if there are none.
    An interrupted run leaves the failures so far.

    `reading` says how masks are read. `convert` is an argument of `images.load_image`; pictures filled
    without it are not filled again, as it does not affect them. `painted`, `extend` and `context_box` are
    fields of `fill.preparation.Preparation`; `guided` says that there are guides. A damaged file or a result
    that cannot be written does not stop the run; a full disk does (OutputError). Raises ConfigError for
    settings that are invalid for every file, and for existing results with other settings without
    `overwrite`; in both cases nothing has been changed.
    """
    tasks = list(tasks)
    preparation = Preparation(
        reading=reading,
        growth=growth,
        painted=painted,
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
    chosen |= reading.described()
    chosen |= preparation.described() | ({"guide": True} if guided else {})
    chosen |= asdict(pipe.defaults.changed(**settings))
    chosen["model"] = model_hash(pipe.tokenizer, pipe.transformer)[:16]
    output.mkdir(parents=True, exist_ok=True)
    for folder in {path.parent for task in tasks for path in task.outputs}:
        remove_stale(folder)
    made = {task.name for task in tasks if any(file_exists(path) for path in task.outputs)}
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
                    input_notes = [*one.notes, *([NO_GUIDE] if guided and task.guide is None else [])]
                    after = record
                    for batch in fill_samples(
                        pipe,
                        one.picture,
                        one.mask,
                        samples=samples,
                        seed=seed,
                        guide=one.guide,
                        context_box=preparation.context_box,
                        **settings,
                    ):
                        outputs = task.outputs[batch.first : samples - batch.left]
                        pictures = dict(zip(outputs, batch.result.pictures, strict=True))
                        files = {path: _encoded(fill, path, quality) for path, fill in pictures.items()}
                        if not batch.left:  # until then the image counts as unfinished
                            best = task.outputs[batch.best].relative_to(output).as_posix()
                            note = joined_notes(*input_notes, _noted(batch.result))
                            after = record.after(task.name, best if samples > 1 else None, note)
                        write_files(files if after == record else files | after.file)
                    filled += 1
                    record = after
                except ConfigError:
                    raise  # a setting that is wrong for every file
                except Exception as error:  # libraries can raise anything for a damaged file
                    if _disk_is_full(error):
                        raise
                    failures[task.name] = " ".join(str(error).split()) or type(error).__name__
            if progress is not None:
                progress("filling", number, len(tasks))
    except BaseException:
        with contextlib.suppress(OutputError):  # the error that stopped the run matters more
            if failures:  # keep an older list rather than none
                write_failures(output / FAILURES, failures)
        raise
    write_failures(output / FAILURES, failures)
    likeliest = {
        task.name: record.likeliest[task.name]
        for task in tasks
        if task.name in record.likeliest
        and task.name not in failures
        and output / record.likeliest[task.name] in task.outputs
    }
    names = {task.name for task in tasks} - failures.keys()
    notes = {name: note for name, note in record.notes.items() if name in names}
    return FolderOutcome(filled=filled, skipped=skipped, failures=failures, likeliest=likeliest, notes=notes)


def _try_out(seed: int, samples: int, quality: int, growth: int) -> None:
    """Raises ConfigError, before the first file, for what would fail for every file."""
    seeds_from(seed, samples)
    if not 1 <= quality <= 100:
        raise ConfigError(f"quality = {quality}: give 1 to 100")
    grow(np.zeros((1, 1), dtype=bool), growth)


def _disk_is_full(error: BaseException) -> bool:
    """Whether writing any other file would fail too."""
    cause = error.__cause__ if isinstance(error, OutputError) else error
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def _noted(result: Inpainted) -> str | None:
    """Notes on a fill and on its source picture."""
    words = [f"converted: {', '.join(result.converted)}"] if result.converted else []
    return "; ".join(words + ([result.note] if result.note else [])) or None


def _encoded(picture: Picture, path: Path, quality: int) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode_image(picture, path, quality)


def write_failures(path: Path, failures: dict[str, str]) -> None:
    """Writes the list of failures, or removes it if there are none."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "reason"))
    table.writerows(failures.items())
    # Names that are not valid UTF-8 are written as their original bytes.
    write_files({path: text.getvalue().encode("utf-8", "surrogateescape")})


def _images(folder: Path, without: list[Path]) -> list[Path]:
    """Image files at any depth, in order, except those inside the folders `without`."""
    whole = folder.resolve()
    inner = [other.resolve() for other in without]
    inner = [other for other in inner if other != whole and other.is_relative_to(whole)]
    return [
        path
        for path in files_below(folder)
        if path.suffix.lower() in FILLABLE
        and path.is_file()
        and not any(path.resolve().is_relative_to(other) for other in inner)
    ]


def _by_stem(folder: Path, without: list[Path]) -> dict[str, list[Path]]:
    """The folder's images by path without suffix."""
    found: dict[str, list[Path]] = {}
    for path in _images(folder, without):
        found.setdefault(_stem(path, folder), []).append(path)
    return found


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()
