"""`maskmend reproduce`: measures the coursework's tables and more, and writes one page.

    test set ─► baselines and bounds ─► checks ─► tables ─► grid ─► page.html, .md, .json

Trials are stored in OUT/trials, so a stopped run is resumed; the page is rewritten after each table.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from maskmend import __version__
from maskmend.choices import choice_error
from maskmend.errors import ConfigError
from maskmend.evaluation.report import STEADY
from maskmend.experiments.reproduce.charts import schedule_curves
from maskmend.experiments.reproduce.page import Drawing, Section, html_page, markdown
from maskmend.experiments.reproduce.sections import section_of, table_facts
from maskmend.experiments.reproduce.strips import gallery, png_bytes, schedule_strips
from maskmend.experiments.reproduce.summary import baselines, summary_section, verdict_section
from maskmend.experiments.reproduce.tables import Table, grid_table, standard_tables, verdict_of
from maskmend.experiments.reproduce.trial import TrialRunner
from maskmend.importers.coursework.published import COURSEWORK_FID
from maskmend.progress import Log, StageProgress, duration
from maskmend.settings import SCHEDULES
from maskmend.storage.files import json_bytes, write_files

QUICK_IMAGES, QUICK_REPEATS = 16, 10
GALLERY = 6
FOOT = "Made by `maskmend reproduce`. Every figure and setting is in page.json beside this page."
TITLE = "Image inpainting with MaskGIT, reproduced"


def reproduce(
    runner: TrialRunner,
    out: Path,
    *,
    quick: bool = False,
    grid: bool = True,
    only: Sequence[str] = (),
    sweep_limit: int | None = None,
    migan_file: Path | None = None,
    shown: int = 2,
    progress: StageProgress | None = None,
    log: Log | None = None,
) -> dict[str, Any]:
    """Measures all tables; writes `page.html`, `page.md`, `page.json` and PNGs into `out`; returns the JSON.

    Args:
        runner: model, test set and networks.
        out: the folder; trials measured there before are taken from it.
        quick: only what the coursework has, and a small grid.
        grid: measure the grid over schedule, steps, order and token choice.
        only: names of the tables that are wanted; all of the others when empty.
        sweep_limit: sweeps over single settings, and the grid, use only this many images.
        migan_file: MI-GAN's ONNX file, for the comparison.
        shown: how many pictures are shown step by step.
        progress: called with (what, done, total).
        log: called with a line for a person: how long it will take.
    """
    report = progress or (lambda what, done, total: None)
    defaults = runner.pipe.defaults
    tables = _chosen([*standard_tables(defaults, quick=quick), grid_table(quick=quick)], only, grid)
    fewer = runner.first(sweep_limit) if any(table.sweep for table in tables) else runner
    if log:
        log(_forecast([(fewer if table.sweep else runner, table) for table in tables]))
    facts: dict[str, Any] = {
        "maskmend": __version__,
        "images": len(runner.data.images),
        "masks": runner.data.name,
        "sha256": runner.digests,
        "repeats": runner.repeats,
        "seed": runner.seed,
        "defaults": asdict(defaults),
    }
    lead = _lead(runner, quick)
    frame, facts["frame"] = summary_section(runner, migan_file, report)
    bars, facts["bars"] = verdict_section(runner, report)
    sections = [bars, frame, *_pictures(runner, shown, migan_file)]

    def write() -> None:
        _write(out, lead, sections, facts)

    write()
    for table in tables:
        bench = fewer if table.sweep else runner
        trials = []
        for row in table.rows:
            report(table.title, len(trials), len(table.rows))
            trials.append(bench.measure(progress, by=table.shown, **row.changes))
        report(table.title, len(table.rows), len(table.rows))
        verdict = verdict_of(table, trials, defaults)
        sections.append(section_of(table, trials, verdict, _fewer(bench, runner)))
        facts[table.name] = {"images": len(bench.data.images)} | table_facts(table, trials, verdict)
        write()
    return facts


def _chosen(tables: Sequence[Table], only: Sequence[str], grid: bool) -> list[Table]:
    """Raises ConfigError for an unknown table."""
    names = [table.name for table in tables]
    for name in only:
        if name not in names:
            raise ConfigError(choice_error("table", name, names))
    return [table for table in tables if (table.name in only if only else grid or table.name != "grid")]


def _fewer(bench: TrialRunner, runner: TrialRunner) -> str:
    """The note of a table measured on fewer images."""
    count = len(bench.data.images)
    if count == len(runner.data.images):
        return ""
    return f"Over the first {count} images only: FID is biased upwards there, so compare within this table."


def _forecast(work: Sequence[tuple[TrialRunner, Table]]) -> str:
    """How many ways of filling are still to be measured, and how long that takes at this machine's pace."""
    fills, seconds, pace = 0, 0.0, None
    for bench in {id(bench): bench for bench, _ in work}.values():
        ways = [(row.changes, table.shown) for other, table in work if other is bench for row in table.rows]
        more, fids = bench.left(ways)
        if fids:
            features, filling = pace = pace or bench.pace()
            seconds += len(bench.data.images) * (fids * features + more * filling)
        fills += more
    if fills == 0:
        return "all is measured: the page is written again"
    return (
        f"{fills} ways of filling to measure: about {duration(seconds)} on this machine. Ctrl-C stops; the "
        "same command resumes."
    )


def _lead(runner: TrialRunner, quick: bool) -> list[str]:
    count = len(runner.data.images)
    share = 100 * float(np.mean([mask.mean() for mask in runner.data.masks]))
    digests = ", ".join(f"{name} {digest[:12]}" for name, digest in runner.digests.items())
    lines = [
        f"{count} images of {runner.pipe.resolution}x{runner.pipe.resolution} pixels; holes: "
        f"{runner.data.name}, {share:.1f} % of the pixels on average. Image i is filled with seed "
        f"{runner.seed} + i. maskmend {__version__}. SHA-256: {digests}.",
        "FID comes with its 95 % bootstrap interval. A table's rows draw the same images, so the "
        "difference of two has an interval of its own: where that holds zero, the row ties with the best.",
    ]
    if quick or count < STEADY:
        lines.append(
            f"FID over {count} images is biased upwards and comparable only within this page, "
            "not with published figures."
        )
    return lines


def _pictures(runner: TrialRunner, shown: int, migan_file: Path | None) -> list[Section]:
    """A gallery of fills, and the masks and predicted pictures over the iterations."""
    data = runner.data
    fills = gallery(
        runner.pipe,
        data.images[:GALLERY],
        data.masks[:GALLERY],
        {name: fill for name, fill in baselines(migan_file).items() if not name.startswith("nothing")},
        seed=runner.seed,
    )
    first = Drawing(
        file="fills.png",
        png=png_bytes(fills),
        caption="The first test images, not chosen: input, what each method makes of it, the truth.",
    )
    curves = Drawing(
        file="schedules.png",
        png=schedule_curves(SCHEDULES),
        caption="The mask schedules.",
    )
    drawings = [curves]
    for number in range(min(shown, len(data.images))):
        masks, pictures = schedule_strips(
            runner.pipe,
            data.images[number],
            data.masks[number],
            tuple(COURSEWORK_FID),
            seed=runner.seed + number,
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
    return [
        Section(title="Fills", drawings=[first]),
        Section(title="Masks and predicted images over the iterations", drawings=drawings),
    ]


def _write(out: Path, lead: Sequence[str], sections: Sequence[Section], facts: dict[str, Any]) -> None:
    files = {
        out / "page.html": html_page(TITLE, lead, sections, FOOT).encode(),
        out / "page.md": markdown(TITLE, lead, sections, FOOT).encode(),
        out / "page.json": json_bytes(facts),
    }
    for section in sections:
        files |= {out / drawing.file: drawing.png for drawing in section.drawings}
    write_files(files)
