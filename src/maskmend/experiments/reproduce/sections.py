"""Turns a table's trials into a section of the page, with verdict and chart, and into values for the JSON."""

from collections.abc import Sequence
from typing import Any

from maskmend.experiments.reproduce.charts import with_intervals
from maskmend.experiments.reproduce.page import Drawing, Mark, Section, Shown
from maskmend.experiments.reproduce.summary import cells, facts_of
from maskmend.experiments.reproduce.tables import Table, Verdict
from maskmend.experiments.reproduce.trial import Trial

HEADERS = {
    "composited": "FID composited",
    "uncomposited": "FID uncomposited",
    "tokens_alone": "FID tokens alone",
}


def section_of(table: Table, trials: Sequence[Trial], verdict: Verdict, note: str = "") -> Section:
    """Rows with the best one and its ties marked, what that says about the default, and a chart.

    `note` is added to the text on the whole table.
    """
    published = any(row.published is not None for row in table.rows)
    header = [
        *(column.replace("_", " ") for column in table.columns),
        *(HEADERS[by] for by in table.shown),
        "LPIPS",
        *(["L1 seam"] if table.seam else []),
        "s/image",
    ]
    rows = []
    for row, trial in zip(table.rows, trials, strict=True):
        line = [
            *(label.replace("_", " ") for label in row.labels),
            *cells(trial, table.shown, seam=table.seam),
        ]
        if published:
            line.append("" if row.published is None else f"{row.published:.2f}")
        rows.append(line)
    if published:
        header.append("published FID")
    text = [paragraph for paragraph in (table.about, note) if paragraph]
    if published:
        text.append(
            "The published figures are of their own split, most of whose test images are in the training set "
            "as well. Its table calls the third schedule square root where its text says square: both are "
            "here."
        )
    return Section(
        title=table.title,
        text=text,
        verdict=f"{verdict.sentence} By the {HEADERS[table.by]}.",
        tables=[Shown(header=header, rows=rows, marks=_marks(len(rows), verdict), labels=len(table.columns))],
        drawings=_charts(table, trials),
    )


def _marks(count: int, verdict: Verdict) -> list[Mark]:
    marks: list[Mark] = [""] * count
    marks[verdict.best] = "best"
    for tie in verdict.ties:
        marks[tie] = "tie"
    return marks


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
        caption = "FID against steps, cosine schedule, one line for each order and token choice."
        return [Drawing(file="grid.png", png=png, caption=caption)]
    try:
        places = [float(row.labels[0]) for row in table.rows]
    except ValueError:
        return []
    lines = {
        by: [(place, trial.fid(by)) for place, trial in zip(places, trials, strict=True)]
        for by in table.shown
    }
    png = with_intervals(lines, table.columns[0].replace("_", " "))
    return [Drawing(file=f"{table.name}.png", png=png, caption=f"{table.title}, with 95 % intervals.")]


def table_facts(table: Table, trials: Sequence[Trial], verdict: Verdict) -> dict[str, Any]:
    """The same as plain values."""
    rows = [
        {
            "labels": dict(zip(table.columns, row.labels, strict=True)),
            "changes": row.changes,
            "report": row.published,
            "best": number == verdict.best,
            "tie": number in verdict.ties,
            **facts_of(trial),
        }
        for number, (row, trial) in enumerate(zip(table.rows, trials, strict=True))
    ]
    return {"title": table.title, "by": table.by, "verdict": verdict.sentence, "rows": rows}
