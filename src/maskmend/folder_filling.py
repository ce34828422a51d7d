"""A folder of images and a folder of masks, filled one after the other into a third.

Files belong together by their path without suffix. A picture that cannot be filled is noted and passed over;
what lies in the output folder already is not made again, so that a run that was stopped goes on where it was.
`fills.json` there says how the pictures were made; other settings do not go on with them.
"""

import contextlib
import csv
import errno
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskmend.data import SUFFIXES
from maskmend.errors import ConfigError, DataError, MaskmendError, OutputError
from maskmend.files import write_files
from maskmend.images import WRITABLE, Picture, encode_image, load_image
from maskmend.masks import grow, load_mask
from maskmend.model_folder import model_hash
from maskmend.pipeline import InpaintPipeline

FAILURES = "failures.csv"
SETTINGS = "fills.json"
FILLABLE = SUFFIXES | {".gif"}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One image of the folder."""

    name: str
    """Its path within the folder."""
    image: Path
    outputs: tuple[Path, ...]
    """One for each sample."""
    mask: Path | None
    trouble: str | None = None
    """Why it cannot be filled, as far as its name tells."""

    @property
    def done(self) -> bool:
        return all(path.is_file() for path in self.outputs)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    filled: int
    skipped: int
    failures: dict[str, str]
    """What went wrong, by the image's path within its folder."""


def plan_folder(
    images: Path, masks: Path, output: Path, *, samples: int = 1, suffix: str | None = None
) -> list[Task]:
    """What there is to do; results keep their image's format, or take that of `suffix` (".png").

    Formats that are read but not written (BMP, GIF) become PNG. Raises DataError for a folder that is missing
    or holds no image, ConfigError for an output folder that is one of the others.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError(f"no folder at {folder}: give a folder of images")
    if output.resolve() in (images.resolve(), masks.resolve()):
        raise ConfigError(f"--output {output} is one of the folders read: choose another")
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output} is a file: with --input give a folder")
    if suffix is not None and suffix not in WRITABLE:
        raise ConfigError(f"format {suffix!r} cannot be written: choose one of {', '.join(WRITABLE)}")
    elsewhere = [folder.resolve() for folder in (masks, output) if folder.resolve() != images.resolve()]
    known: dict[str, list[Path]] = {}
    for path in _images(masks, [output.resolve()]):
        known.setdefault(_stem(path, masks), []).append(path)
    tasks, taken = [], set[Path]()
    for path in _images(images, elsewhere):
        found = known.get(_stem(path, images), [])
        trouble = None
        if len(found) != 1:
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
        tasks.append(Task(name=name, image=path, outputs=outputs, mask=mask, trouble=trouble))
    if not tasks:
        raise DataError(f"no images under {images}: looked for {', '.join(sorted(FILLABLE))}")
    return tasks


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
    reading: dict[str, Any] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **settings: Any,
) -> Outcome:
    """Works through `tasks`; writes `failures.csv` into `output` when there are any, removes an older one if
    not. A run that is stopped leaves the failures so far.

    `reading` are arguments of `masks.load_mask`. One bad file, or one result that cannot be written, stops
    nothing; a full disk does (OutputError). Raises ConfigError if the folder's pictures were made otherwise
    and are not to be made anew.
    """
    tasks = list(tasks)
    filled = skipped = 0
    failures: dict[str, str] = {}
    output.mkdir(parents=True, exist_ok=True)
    chosen = {
        "seed": seed,
        "samples": samples,
        "quality": quality,
        "grow": growth,
        "precision": pipe.precision,
    }
    chosen |= {f"mask_{name}": value for name, value in (reading or {}).items()}
    chosen |= asdict(pipe.defaults.changed(**settings))
    chosen["model"] = model_hash(pipe.tokenizer, pipe.transformer)[:16]
    _begin(output, chosen, tasks, overwrite=overwrite)
    try:
        for number, task in enumerate(tasks, start=1):
            if task.trouble is not None or task.mask is None:
                failures[task.name] = task.trouble or "no mask"
            elif task.done and not overwrite:
                skipped += 1
            else:
                try:
                    picture = load_image(task.image)
                    mask = load_mask(task.mask, size=picture.pixels.shape[:2], **(reading or {}))
                    result = pipe(picture, grow(mask, growth), samples=samples, seed=seed, **settings)
                    files = dict(zip(task.outputs, result.pictures, strict=True))
                    write_files({path: _encoded(one, path, quality) for path, one in files.items()})
                    filled += 1
                except ConfigError:
                    raise  # a setting, and so the same for every file
                except (MaskmendError, OSError, MemoryError, RuntimeError) as error:
                    if _disk_is_full(error):
                        raise
                    failures[task.name] = " ".join(str(error).split()) or type(error).__name__
            if progress is not None:
                progress("filling", number, len(tasks))
    except BaseException:
        if failures:  # an older list says more than none
            with contextlib.suppress(OutputError):  # what stopped the run is the news
                _write_failures(output / FAILURES, failures)
        raise
    _write_failures(output / FAILURES, failures)
    return Outcome(filled=filled, skipped=skipped, failures=failures)


def _begin(output: Path, chosen: dict[str, Any], tasks: list[Task], *, overwrite: bool) -> None:
    """Writes down how pictures are made, for those that lie there already as well.

    Pictures made otherwise are a ConfigError, or with `overwrite` removed, as far as they are made anew: a
    run stopped halfway must not leave both. Of pictures without a record nothing is claimed.
    """
    path, content = output / SETTINGS, json.dumps(chosen, indent=2, sort_keys=True)
    before = path.read_text() if path.is_file() else None
    if before == content:
        return
    if not overwrite and _images(output, []):
        if before is None:
            return
        raise ConfigError(f"{_difference(before, chosen)}: give --overwrite, or another --output")
    for task in tasks:
        for old in task.outputs:
            with contextlib.suppress(OSError):  # what cannot be removed cannot be written either, and is told
                old.unlink()
    write_files({path: content.encode()})


def _difference(before: str, chosen: dict[str, Any]) -> str:
    try:
        old = dict(json.loads(before))
    except (ValueError, TypeError):
        return "the pictures there were made otherwise"
    new = json.loads(json.dumps(chosen))
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    changes = ", ".join(f"{name} = {old.get(name)} (now {new.get(name)})" for name in names)
    return f"the pictures there were made with {changes}"


def _disk_is_full(error: BaseException) -> bool:
    """Whether no other file could be written either."""
    cause = error.__cause__ if isinstance(error, OutputError) else error
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def _encoded(picture: Picture, path: Path, quality: int) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode_image(picture, path, quality)


def _write_failures(path: Path, failures: dict[str, str]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "reason"))
    table.writerows(failures.items())
    write_files({path: text.getvalue().encode()})


def _images(folder: Path, without: list[Path]) -> list[Path]:
    """Image files at any depth, in order, outside the folders `without`."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in FILLABLE
        and path.is_file()
        and not any(path.resolve().is_relative_to(other) for other in without)
    ]


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()
