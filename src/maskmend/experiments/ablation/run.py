"""`maskmend study`: the ablation. Each row is trained, filled and scored; the result is one table on a page.

FID is that of what the row produces: every pixel from the decoder, as in the coursework, until
known pixels are kept. The FID of the tokenizer's reconstruction is its lower bound. LPIPS is that of the
composited picture in every row, so it measures the fill alone. A row is called better or worse than the one
before it only if the interval of their difference, over the same images, excludes zero.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskmend import __version__
from maskmend.experiments.ablation.ingredients import Ingredient, cumulative
from maskmend.experiments.ablation.trainings import Trainings
from maskmend.experiments.reproduce.dataset import TestSet
from maskmend.experiments.reproduce.formatting import change, interval
from maskmend.experiments.reproduce.page import Mark, Section, Shown, html_page, markdown
from maskmend.experiments.reproduce.summary import facts_of
from maskmend.experiments.reproduce.trial import (
    Distance,
    Measure,
    Trial,
    TrialRunner,
    difference,
    lpips_difference,
)
from maskmend.metrics.bootstrap import Interval
from maskmend.metrics.features import FeatureFunction
from maskmend.progress import StageProgress
from maskmend.storage.files import json_bytes, write_files

TITLE = "The coursework's recipe against ours"


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Test set and networks: what every ingredient is scored with."""

    data: TestSet
    extract: FeatureFunction
    distance: Distance
    folder: Path
    """Where trials are kept."""
    network: str | None = None
    distance_network: str | None = None
    repeats: int = 100
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """A row of the ablation: an ingredient with its trial, and the change from the row before."""

    ingredient: Ingredient
    training: str
    trial: Trial
    result: Interval | None = None
    """Of the result's FID; None for the first row."""
    fill: Interval | None = None
    """Of the composited picture's LPIPS."""


def study(
    trainings: Trainings,
    scorer: Scorer,
    out: Path,
    *,
    ingredients: Sequence[Ingredient] | None = None,
    progress: StageProgress | None = None,
) -> dict[str, Any]:
    """Trains and scores every ingredient; writes `page.html`, `.md` and `.json` into `out`, again after each.

    Resumes where it was stopped. Returns the JSON.
    """
    report = progress or (lambda what, done, total: None)
    ingredients = cumulative() if ingredients is None else ingredients
    rows: list[AblationRow] = []
    facts: dict[str, Any] = {}
    for number, ingredient in enumerate(ingredients):
        report("ingredients", number, len(ingredients))
        runner = TrialRunner(
            data=scorer.data,
            pipe=trainings.pipeline(ingredient, report),
            extract=scorer.extract,
            distance=scorer.distance,
            folder=scorer.folder,
            network=scorer.network,
            distance_network=scorer.distance_network,
            repeats=scorer.repeats,
            seed=scorer.seed,
        )
        trial = runner.measure(progress, by=(measure_of(ingredient),))
        below = rows[-1] if rows else None
        rows.append(_row_of(ingredient, trainings.place(ingredient).name, trial, below))
        facts = _write(out, rows, trainings, runner)
    report("ingredients", len(ingredients), len(ingredients))
    return facts


def measure_of(ingredient: Ingredient) -> Measure:
    """Which FID an ingredient's result has: until known pixels are kept, the decoder does not get them
    either."""
    return "composited" if ingredient.composited else "tokens_alone"


def verdict(gap: Interval | None) -> str:
    """Whether a change of a figure, lower being better, is one."""
    if gap is None:
        return ""
    if gap.low <= 0 <= gap.high:
        return "tie"
    return "better" if gap.value < 0 else "worse"


def _row_of(ingredient: Ingredient, training: str, trial: Trial, below: AblationRow | None) -> AblationRow:
    if below is None:
        return AblationRow(ingredient=ingredient, training=training, trial=trial)
    return AblationRow(
        ingredient=ingredient,
        training=training,
        trial=trial,
        result=difference(trial, below.trial, measure_of(ingredient), measure_of(below.ingredient)),
        fill=lpips_difference(trial, below.trial),
    )


def summary(rows: Sequence[AblationRow]) -> list[str]:
    """Which ingredients mattered and which did not, by the result and by the fill alone."""
    words = {"better": "mattered", "tie": "made no difference beyond the interval", "worse": "did harm"}
    lines = []
    for title, gaps in (
        ("By the result (FID)", [row.result for row in rows]),
        ("By the fill alone (LPIPS, composited)", [row.fill for row in rows]),
    ):
        parts = []
        for outcome, word in words.items():
            pairs = zip(rows, gaps, strict=True)
            names = [row.ingredient.name for row, gap in pairs if verdict(gap) == outcome]
            if names:
                parts.append(f"{word}: {', '.join(names)}")
        if parts:
            lines.append(f"{title}, {'; '.join(parts)}.")
    return lines


def _write(
    out: Path, rows: Sequence[AblationRow], trainings: Trainings, runner: TrialRunner
) -> dict[str, Any]:
    budget = trainings.budget
    lead = [
        f"{len(runner.data.images)} test pictures; holes: {runner.data.name}. Every training has "
        f"{budget.steps} steps of {budget.batch} pictures, {budget.layers} layers of width {budget.dim}, the "
        f"same tokenizer, pictures and seed. maskmend {__version__}.",
        "Each row keeps all ingredients of the rows above it. FID is that of the row's result: every pixel "
        "from the decoder until known pixels are kept. LPIPS is that of the composited picture on every row: "
        "the fill alone. Changes are against the row above, with the 95 % interval of the difference over "
        "the same images; a tie where that holds zero.",
    ]
    table = Shown(
        header=["ingredient", "what", "training", "FID", "change", "", "LPIPS", "change", ""],
        rows=[_row(row) for row in rows],
        marks=[_mark(row) for row in rows],
        labels=3,
    )
    section = Section(title="One ingredient at a time", text=summary(rows), tables=[table])
    facts = {
        "maskmend": __version__,
        "images": len(runner.data.images),
        "masks": runner.data.name,
        "sha256": {name: runner.digests[name] for name in ("images", "masks")},
        "budget": asdict(budget) | {"tokenizer": str(budget.tokenizer)},
        "rows": [_facts(row) for row in rows],
    }
    write_files(
        {
            out / "page.html": html_page(TITLE, lead, [section]).encode(),
            out / "page.md": markdown(TITLE, lead, [section]).encode(),
            out / "page.json": json_bytes(facts),
        }
    )
    return facts


def _row(row: AblationRow) -> list[str]:
    ingredient, trial = row.ingredient, row.trial
    return [
        ingredient.name if row.result is None else f"+ {ingredient.name}",
        ingredient.about,
        row.training + (", averaged" if ingredient.averaged else ""),
        interval(trial.fid(measure_of(ingredient))),
        change(row.result),
        verdict(row.result),
        f"{trial.lpips.value:.4f}",
        change(row.fill, 4),
        verdict(row.fill),
    ]


def _mark(row: AblationRow) -> Mark:
    outcome = {verdict(row.result), verdict(row.fill)}
    return "best" if "better" in outcome else "tie" if outcome == {"tie"} else ""


def _facts(row: AblationRow) -> dict[str, Any]:
    gaps = {"result": row.result, "fill": row.fill}
    # Ingredients may share a trial, which then holds both FIDs; shown is that of the ingredient's own result.
    other = "tokens_alone" if row.ingredient.composited else "composited"
    return {
        "ingredient": asdict(row.ingredient),
        "training": row.training,
        "changes": {name: gap and asdict(gap) for name, gap in gaps.items()},
        "trial": facts_of(row.trial) | {other: None},
    }
