"""`maskmend study`: the ladder climbed, every rung trained, filled and scored; one table, one page.

Two figures tell two things. FID is that of a rung's result: every pixel from the decoder, the report's
protocol, until known pixels are kept; it has the tokenizer's reconstruction as its floor. LPIPS is that of
the composited picture on every rung, so it sees the fill alone. A rung is called better or worse than the one
below only where the interval of their difference, over the same images, leaves out zero.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskmend import __version__
from maskmend.experiments.ablation.ingredients import Rung, ladder
from maskmend.experiments.ablation.trainings import Progress, Trainings
from maskmend.experiments.reproduce.dataset import TestSet
from maskmend.experiments.reproduce.formatting import change, interval
from maskmend.experiments.reproduce.page import Mark, Section, Shown, html_page, markdown
from maskmend.experiments.reproduce.summary import facts_of
from maskmend.experiments.reproduce.trial import (
    Distance,
    Laboratory,
    Measure,
    Trial,
    difference,
    lpips_difference,
)
from maskmend.files import json_bytes, write_files
from maskmend.metrics.bootstrap import Interval
from maskmend.metrics.features import FeatureFunction

TITLE = "The report's recipe against ours"


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Test set and networks: what every rung is scored with."""

    data: TestSet
    extract: FeatureFunction
    distance: Distance
    folder: Path
    """Where trials are kept."""
    network: str | None = None
    repeats: int = 100
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A rung with its trial, and what it changed against the rung below."""

    rung: Rung
    training: str
    trial: Trial
    result: Interval | None = None
    """Of the result's FID; None for the lowest rung."""
    fill: Interval | None = None
    """Of the composited picture's LPIPS."""


def study(
    trainings: Trainings,
    scorer: Scorer,
    out: Path,
    *,
    rungs: Sequence[Rung] | None = None,
    told: Progress | None = None,
) -> dict[str, Any]:
    """Trains and scores every rung; writes `page.html`, `.md` and `.json` into `out`, anew after each.

    Goes on where it was stopped. Returns the JSON.
    """
    report = told or (lambda what, done, total: None)
    rungs = ladder() if rungs is None else rungs
    standings: list[Standing] = []
    facts: dict[str, Any] = {}
    for number, rung in enumerate(rungs):
        report("rungs", number, len(rungs))
        laboratory = Laboratory(
            data=scorer.data,
            pipe=trainings.pipeline(rung, report),
            extract=scorer.extract,
            distance=scorer.distance,
            folder=scorer.folder,
            network=scorer.network,
            repeats=scorer.repeats,
            seed=scorer.seed,
        )
        trial = laboratory.measure(told, by=(measure_of(rung),))
        below = standings[-1] if standings else None
        standings.append(_stand(rung, trainings.place(rung).name, trial, below))
        facts = _write(out, standings, trainings, laboratory)
    report("rungs", len(rungs), len(rungs))
    return facts


def measure_of(rung: Rung) -> Measure:
    """Which FID a rung's result has: until known pixels are kept, nobody shows them to the decoder either."""
    return "composited" if rung.composited else "tokens_alone"


def verdict(gap: Interval | None) -> str:
    """Whether a change of a figure, lower being better, is one."""
    if gap is None:
        return ""
    if gap.low <= 0 <= gap.high:
        return "tie"
    return "better" if gap.value < 0 else "worse"


def _stand(rung: Rung, training: str, trial: Trial, below: Standing | None) -> Standing:
    if below is None:
        return Standing(rung=rung, training=training, trial=trial)
    return Standing(
        rung=rung,
        training=training,
        trial=trial,
        result=difference(trial, below.trial, measure_of(rung), measure_of(below.rung)),
        fill=lpips_difference(trial, below.trial),
    )


def summary(standings: Sequence[Standing]) -> list[str]:
    """Which ingredients mattered and which did not, by the result and by the fill alone."""
    words = {"better": "mattered", "tie": "made no difference beyond the interval", "worse": "did harm"}
    lines = []
    for title, gaps in (
        ("By the result (FID)", [standing.result for standing in standings]),
        ("By the fill alone (LPIPS, composited)", [standing.fill for standing in standings]),
    ):
        parts = []
        for outcome, word in words.items():
            pairs = zip(standings, gaps, strict=True)
            names = [standing.rung.name for standing, gap in pairs if verdict(gap) == outcome]
            if names:
                parts.append(f"{word}: {', '.join(names)}")
        if parts:
            lines.append(f"{title}, {'; '.join(parts)}.")
    return lines


def _write(
    out: Path, standings: Sequence[Standing], trainings: Trainings, laboratory: Laboratory
) -> dict[str, Any]:
    budget = trainings.budget
    lead = [
        f"{len(laboratory.data.images)} test pictures; holes: {laboratory.data.name}. Every training has "
        f"{budget.steps} steps of {budget.batch} pictures, {budget.layers} layers of width {budget.dim}, the "
        f"same tokenizer, pictures and seed. maskmend {__version__}.",
        "Each row keeps all ingredients of the rows above it. FID is that of the row's result: every pixel "
        "from the decoder until known pixels are kept. LPIPS is that of the composited picture on every row: "
        "the fill alone. Changes are against the row above, with the 95 % interval of the difference over "
        "the same images; a tie where that holds zero.",
    ]
    table = Shown(
        header=["ingredient", "what", "training", "FID", "change", "", "LPIPS", "change", ""],
        rows=[_row(standing) for standing in standings],
        marks=[_mark(standing) for standing in standings],
        labels=3,
    )
    section = Section(title="One ingredient at a time", text=summary(standings), tables=[table])
    facts = {
        "maskmend": __version__,
        "images": len(laboratory.data.images),
        "masks": laboratory.data.name,
        "sha256": {name: laboratory.digests[name] for name in ("images", "masks")},
        "budget": asdict(budget) | {"tokenizer": str(budget.tokenizer)},
        "rows": [_facts(standing) for standing in standings],
    }
    write_files(
        {
            out / "page.html": html_page(TITLE, lead, [section]).encode(),
            out / "page.md": markdown(TITLE, lead, [section]).encode(),
            out / "page.json": json_bytes(facts),
        }
    )
    return facts


def _row(standing: Standing) -> list[str]:
    rung, trial = standing.rung, standing.trial
    return [
        rung.name if standing.result is None else f"+ {rung.name}",
        rung.about,
        standing.training + (", averaged" if rung.averaged else ""),
        interval(trial.fid(measure_of(rung))),
        change(standing.result),
        verdict(standing.result),
        f"{trial.lpips.value:.4f}",
        change(standing.fill, 4),
        verdict(standing.fill),
    ]


def _mark(standing: Standing) -> Mark:
    outcome = {verdict(standing.result), verdict(standing.fill)}
    return "best" if "better" in outcome else "tie" if outcome == {"tie"} else ""


def _facts(standing: Standing) -> dict[str, Any]:
    gaps = {"result": standing.result, "fill": standing.fill}
    # Rungs may share a trial, which then holds both FIDs; shown is that of the rung's own result.
    other = "tokens_alone" if standing.rung.composited else "composited"
    return {
        "rung": asdict(standing.rung),
        "training": standing.training,
        "changes": {name: gap and asdict(gap) for name, gap in gaps.items()},
        "trial": facts_of(standing.trial) | {other: None},
    }
