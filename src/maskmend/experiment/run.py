"""`maskmend reproduce`: everything the report shows and more, measured and written as one page.

    test set ─► frame (nothing, Telea, MI-GAN, reconstruction) ─► tables ─► grid ─► page.html, .md, .json

Trials are kept in OUT/trials, so a run that was stopped goes on; the page is written anew after each table.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskmend import __version__
from maskmend.data import Entry, list_images
from maskmend.errors import DataError, ImageError
from maskmend.experiment.baselines import leave_grey, migan, telea
from maskmend.experiment.charts import schedule_curves, with_intervals
from maskmend.experiment.page import Drawing, Section, Shown, html_page, markdown
from maskmend.experiment.strips import png_bytes, schedule_strips
from maskmend.experiment.tables import Table, Verdict, judge, the_grid, the_tables
from maskmend.experiment.trial import Laboratory, Progress, TestSet, Trial
from maskmend.files import write_files
from maskmend.images import READABLE, picture_from
from maskmend.mask_sets import draw_mask
from maskmend.masks import load_mask
from maskmend.metrics.bootstrap import Interval
from maskmend.model_folder import json_bytes

QUICK_IMAGES, QUICK_REPEATS = 16, 10
REPORTED_SCHEDULES = ("cosine", "linear", "square")
TITLE = "Image inpainting with MaskGIT, measured anew"


def load_test_set(
    images: Path, size: int, masks: Path | None = None, *, kind: str = "random_walk", seed: int = 0
) -> TestSet:
    """The images of a folder or tar file with their holes.

    Without a folder of masks, image number i (by name) gets the mask that `maskmend masks make KIND` draws.
    Raises DataError for images that are not squares of `size` pixels (FID would measure the scaling) and for
    unreadable ones (leaving them out would move the masks).
    """
    found = sorted(list_images(images), key=lambda entry: entry.name)
    names, pictures = [Path(entry.name) for entry in found], []
    for entry in found:
        picture = _pixels(entry)
        if picture.shape != (size, size, 3):
            shape = f"{picture.shape[1]}x{picture.shape[0]}"
            raise DataError(f"{entry.name} is {shape}: the experiment needs {size}x{size} pictures")
        pictures.append(picture)
    if masks is None:
        holes = [draw_mask(kind, seed, number, size, size) for number in range(len(pictures))]
        return TestSet(images=pictures, masks=holes, name=f"{kind.replace('_', ' ')}, seed {seed}")
    holes = []
    for name in names:
        path = (masks / name).with_suffix(".png")
        if not path.is_file():
            raise DataError(f"no mask at {path}: make a set with `maskmend masks make`, or leave --masks out")
        holes.append(load_mask(path, size=(size, size)))
    return TestSet(images=pictures, masks=holes, name=f"masks of {masks.name}")


def _pixels(entry: Entry) -> np.ndarray:
    try:
        with Image.open(BytesIO(entry.read()), formats=READABLE) as image:
            return picture_from(image).pixels
    except (OSError, ValueError, SyntaxError, ImageError) as error:
        raise DataError(f"cannot read {entry.name} ({error}): take it out of the test set") from None


def reproduce(
    laboratory: Laboratory,
    out: Path,
    *,
    quick: bool = False,
    grid: bool = True,
    migan_file: Path | None = None,
    shown: int = 2,
    told: Progress | None = None,
) -> dict[str, Any]:
    """Measures all tables; writes `page.html`, `page.md`, `page.json` and PNGs into `out`; returns the JSON.

    Args:
        laboratory: model, test set and networks.
        out: the folder; trials measured there before are taken from it.
        quick: only what the report has, and a small grid.
        grid: measure the grid over schedule, steps, order and token choice.
        migan_file: MI-GAN's ONNX file, for the comparison.
        shown: how many pictures are shown step by step.
        told: called with (what, done, total).
    """
    report = told or (lambda what, done, total: None)
    defaults = laboratory.pipe.defaults
    sections = [_pictures(laboratory, shown)]
    facts: dict[str, Any] = {
        "maskmend": __version__,
        "images": len(laboratory.data.images),
        "masks": laboratory.data.name,
        "sha256": laboratory.digests,
        "repeats": laboratory.repeats,
        "seed": laboratory.seed,
        "defaults": asdict(defaults),
    }
    lead = _lead(laboratory, quick)

    def write() -> None:
        _write(out, lead, sections, facts)

    frame, facts["frame"] = _frame(laboratory, migan_file, report)
    sections.insert(0, frame)
    write()
    tables = the_tables(defaults, quick=quick) + ([the_grid(quick=quick)] if grid else [])
    for table in tables:
        trials = []
        for row in table.rows:
            report(table.title, len(trials), len(table.rows))
            trials.append(laboratory.measure(told, **row.changes))
        report(table.title, len(table.rows), len(table.rows))
        verdict = judge(table, trials, defaults)
        sections.append(_section(table, trials, verdict))
        facts[table.name] = _table_facts(table, trials, verdict)
        write()
    return facts


def _lead(laboratory: Laboratory, quick: bool) -> list[str]:
    count = len(laboratory.data.images)
    share = 100 * float(np.mean([mask.mean() for mask in laboratory.data.masks]))
    digests = ", ".join(f"{name} {digest[:12]}" for name, digest in laboratory.digests.items())
    lines = [
        f"{count} images, holes: {laboratory.data.name}, {share:.1f} % of the pixels on average; image i is "
        f"filled with seed {laboratory.seed} + i. maskmend {__version__}; SHA-256: {digests}.",
        "FID with its 95 % bootstrap interval over images. Rows that differ from the best by less than their "
        "interval are ties. Composited: known pixels from the image, what a user gets. Uncomposited: every "
        "pixel from the decoder, the report's protocol.",
    ]
    if quick or count < 500:
        lines.append(
            f"FID over {count} images is biased upwards and comparable only within this page, "
            "not with published figures."
        )
    return lines


def _frame(
    laboratory: Laboratory, migan_file: Path | None, told: Progress
) -> tuple[Section, dict[str, dict[str, Any]]]:
    """The figures around every other: what doing nothing and what others score, and the tokenizer's floor."""
    rivals: dict[str, Callable[..., Any]] = {"nothing (grey holes)": leave_grey, "OpenCV Telea": telea()}
    if migan_file is not None:
        rivals["MI-GAN"] = migan(migan_file)
    versions = {} if migan_file is None else {"MI-GAN": hashlib.sha256(migan_file.read_bytes()).hexdigest()}
    trials = {
        name: laboratory.baseline(f"{name} {versions.get(name, '')}".strip(), fill, told)
        for name, fill in rivals.items()
    }
    trials["maskmend, default settings"] = laboratory.measure(told)
    floor = laboratory.reconstruction(told)
    rows = [[name, *_figures(trial)] for name, trial in trials.items()]
    empty = [""] * 4
    rows.append(
        ["tokenizer reconstruction", "", _interval(floor.uncomposited), f"{floor.lpips.value:.4f}", *empty]
    )
    shown = Shown(
        header=[
            "method",
            "FID composited",
            "FID uncomposited",
            "LPIPS",
            "L1 hole",
            "L1 seam",
            "known error",
            "s/image",
        ],
        rows=rows,
    )
    section = Section(
        title="The frame",
        text=[
            "The reconstruction is the whole image through the tokenizer and back, nothing missing: the "
            "floor of an uncomposited result."
        ],
        tables=[shown],
    )
    return section, {name: asdict(trial) for name, trial in (trials | {"reconstruction": floor}).items()}


def _figures(trial: Trial) -> list[str]:
    return [
        _interval(trial.composited),
        _interval(trial.uncomposited),
        f"{trial.lpips.value:.4f}",
        f"{trial.hole_l1:.4f}",
        f"{trial.seam_l1:.4f}",
        f"{trial.known_error}",
        f"{trial.seconds_per_image:.3f}",
    ]


def _interval(value: Interval | None) -> str:
    return "" if value is None else f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _pictures(laboratory: Laboratory, shown: int) -> Section:
    drawings = [
        Drawing(
            file="schedules.png",
            png=schedule_curves(
                ("cosine", "linear", "square", "square_root", "arccos", "cubic", "log", "exp")
            ),
            caption="The mask schedules.",
        )
    ]
    for number in range(min(shown, len(laboratory.data.images))):
        image, mask = laboratory.data.images[number], laboratory.data.masks[number]
        masks, pictures = schedule_strips(
            laboratory.pipe, image, mask, REPORTED_SCHEDULES, seed=laboratory.seed + number
        )
        drawings += [
            Drawing(
                file=f"masks-{number + 1}.png",
                png=png_bytes(masks),
                caption=f"Image {number + 1}: the mask in the latent domain over the iterations; dark is "
                "still masked, orange was filled in this step, blue before.",
            ),
            Drawing(
                file=f"predicted-{number + 1}.png",
                png=png_bytes(pictures),
                caption=f"Image {number + 1}: the predicted picture over the iterations, every pixel from "
                "the decoder.",
            ),
        ]
    return Section(title="Masks and predicted images over the iterations", drawings=drawings)


def _section(table: Table, trials: Sequence[Trial], verdict: Verdict) -> Section:
    published = any(row.published is not None for row in table.rows)
    header = [*table.columns, "FID composited", "FID uncomposited", "LPIPS", "s/image"]
    rows = []
    for row, trial in zip(table.rows, trials, strict=True):
        figures = _figures(trial)
        cells = [*row.labels, figures[0], figures[1], figures[2], figures[6]]
        if published:
            cells.append("" if row.published is None else f"{row.published:.2f}")
        rows.append(cells)
    if published:
        header.append("report's FID")
    marks = ["best" if n == verdict.best else "tie" if n in verdict.ties else "" for n in range(len(rows))]
    text = [part for part in (table.about, f"By the {table.by} FID. {verdict.sentence}") if part]
    if published:
        text.append(
            "The report's figures are of its own split, most of whose test images stand in the training set "
            "as well. Its table calls the third schedule square root where its text says square: both are "
            "here."
        )
    shown = Shown(header=header, rows=rows, marks=marks, labels=len(table.columns))  # type: ignore[arg-type]
    return Section(title=table.title, text=text, tables=[shown], drawings=_charts(table, trials))


def _charts(table: Table, trials: Sequence[Trial]) -> list[Drawing]:
    """FID against the steps for the grid, against the setting where it is a number."""
    if table.name == "grid":
        step, by_order = table.columns.index("steps"), {}
        for row, trial in zip(table.rows, trials, strict=True):
            schedule, _, order, choice = row.labels
            if schedule == "cosine":
                line = by_order.setdefault(f"{order}, {choice}", [])
                line.append((float(row.labels[step]), trial.fid(table.by)))
        png = with_intervals(by_order, "steps", f"FID, {table.by}")
        return [Drawing(file="grid.png", png=png, caption="FID against steps, cosine schedule.")]
    try:
        places = [float(row.labels[0]) for row in table.rows]
    except ValueError:
        return []
    points = [(place, trial.fid(table.by)) for place, trial in zip(places, trials, strict=True)]
    png = with_intervals({table.by: points}, table.columns[0].replace("_", " "))
    return [Drawing(file=f"{table.name}.png", png=png, caption=f"{table.title}, with 95 % intervals.")]


def _table_facts(table: Table, trials: Sequence[Trial], verdict: Verdict) -> dict[str, Any]:
    rows = [
        {
            "labels": dict(zip(table.columns, row.labels, strict=True)),
            "changes": row.changes,
            "report": row.published,
            "best": number == verdict.best,
            "tie": number in verdict.ties,
            **asdict(trial),
        }
        for number, (row, trial) in enumerate(zip(table.rows, trials, strict=True))
    ]
    return {"title": table.title, "by": table.by, "verdict": verdict.sentence, "rows": rows}


def _write(out: Path, lead: Sequence[str], sections: Sequence[Section], facts: dict[str, Any]) -> None:
    files = {
        out / "page.html": html_page(TITLE, lead, sections).encode(),
        out / "page.md": markdown(TITLE, lead, sections).encode(),
        out / "page.json": json_bytes(facts),
    }
    for section in sections:
        files |= {out / drawing.file: drawing.png for drawing in section.drawings}
    write_files(files)
