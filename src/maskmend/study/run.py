"""`maskmend study`: the ladder climbed, every rung trained, filled and scored; one table, one page.

Two figures tell two things. The uncomposited FID is the report's protocol and has the tokenizer's
reconstruction as its floor. The composited one sees the fill alone. A rung is called better or worse than the
one below only where the interval of their difference, over the same bootstrap images, leaves out zero.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from maskmend import __version__
from maskmend.experiment.page import Mark, Section, Shown, html_page, markdown
from maskmend.experiment.trial import BOTH, Distance, Laboratory, Measure, TestSet, Trial, difference
from maskmend.files import write_files
from maskmend.metrics.bootstrap import Interval
from maskmend.metrics.features import FeatureFunction
from maskmend.model_folder import json_bytes
from maskmend.study.ladder import Rung, ladder
from maskmend.study.trainings import Progress, Trainings

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


def study(
    trainings: Trainings,
    scorer: Scorer,
    out: Path,
    *,
    rungs: Sequence[Rung] | None = None,
    told: Progress | None = None,
) -> dict[str, Any]:
    """Trains and scores every rung; writes `page.html`, `page.md` and `page.json` into `out`.

    The figure that a rung's own result has (uncomposited below compositing) is measured for all rungs first,
    the other one after that. Goes on where it was stopped. Returns the JSON.
    """
    report = told or (lambda what, done, total: None)
    rungs = ladder() if rungs is None else rungs
    trials: dict[int, Trial] = {}
    facts: dict[str, Any] = {}
    for everything in (False, True):
        for number, rung in enumerate(rungs):
            report("rungs, both figures" if everything else "rungs", number, len(rungs))
            by = BOTH if everything else _results(rungs, number)
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
            trials[number] = laboratory.measure(told, by=by)
            facts = _write(out, rungs, trials, trainings, laboratory)
        report("rungs, both figures" if everything else "rungs", len(rungs), len(rungs))
    return facts


def _results(rungs: Sequence[Rung], number: int) -> tuple[Measure, ...]:
    """What a rung's own result is scored by: the pixels of the decoder, or the picture a user gets."""
    return ("composited",) if rungs[number].composited else ("uncomposited",)


def below(rungs: Sequence[Rung], number: int) -> int | None:
    """The rung that number `number` is compared with: the nearest below that is no side branch."""
    return next((n for n in range(number - 1, -1, -1) if not rungs[n].beside), None)


def verdict(change: Interval | None) -> str:
    """Whether a change of FID is one."""
    if change is None:
        return ""
    if change.low <= 0 <= change.high:
        return "tie"
    return "better" if change.value < 0 else "worse"


def changes(rungs: Sequence[Rung], trials: dict[int, Trial], number: int) -> dict[str, Interval | None]:
    """A rung's difference to the one below, in either figure; None where one of the two is not measured."""
    lower = below(rungs, number)
    found: dict[str, Interval | None] = dict.fromkeys((*BOTH, "result"))
    if lower is None or lower not in trials:
        return found
    a, b = trials[number], trials[lower]
    for by in BOTH:
        if by in a.draws and by in b.draws:
            found[by] = difference(a, b, by)
    (mine,), (theirs,) = _results(rungs, number), _results(rungs, lower)
    if mine in a.draws and theirs in b.draws:
        found["result"] = difference(a, b, mine, theirs)
    return found


def _write(
    out: Path, rungs: Sequence[Rung], trials: dict[int, Trial], trainings: Trainings, laboratory: Laboratory
) -> dict[str, Any]:
    rows, marks, facts = [], [], []
    for number, trial in sorted(trials.items()):
        rung, change = rungs[number], changes(rungs, trials, number)
        told = verdict(change["result"])
        sign = "= " if rung.beside else "" if number == 0 else "+ "
        rows.append(
            [
                sign + rung.name,
                rung.about,
                trainings.place(rung).name + (", averaged" if rung.averaged else ""),
                _interval(trial.uncomposited),
                _interval(trial.composited),
                f"{trial.lpips.value:.4f}",
                _gap(change["result"]),
                told,
                _gap(change["composited"]),
                verdict(change["composited"]),
            ]
        )
        marks.append("best" if told == "better" else "tie" if told == "tie" else "")
        facts.append(
            {
                "rung": asdict(rung),
                "training": trainings.place(rung).name,
                "changes": {name: value and asdict(value) for name, value in change.items()},
                "trial": asdict(trial) | {"draws": None},
            }
        )
    budget = trainings.budget
    lead = [
        f"{len(laboratory.data.images)} test pictures, holes: {laboratory.data.name}; every training has "
        f"{budget.steps} steps of {budget.batch} pictures, {budget.layers} layers of width {budget.dim}, the "
        f"same tokenizer, pictures and seed. maskmend {__version__}, torch {torch.__version__}.",
        "Each row keeps all ingredients of the rows above it. FIDs with 95 % bootstrap intervals. A change is "
        "that of the row's own result to the row above (uncomposited until known pixels are kept), with the "
        "interval of the difference over the same bootstrap images; it is a tie where that holds zero.",
    ]
    table = Shown(
        header=[
            "ingredient", "what", "training", "FID uncomposited", "FID composited", "LPIPS composited",
            "change of the result", "", "change composited", "",
        ],
        rows=rows,
        marks=[_mark(mark) for mark in marks],
        labels=3,
    )  # fmt: skip
    section = Section(title="One ingredient at a time", text=summary(rungs, trials), tables=[table])
    content = {
        "maskmend": __version__,
        "images": len(laboratory.data.images),
        "masks": laboratory.data.name,
        "sha256": {name: laboratory.digests[name] for name in ("images", "masks")},
        "budget": asdict(budget) | {"tokenizer": str(budget.tokenizer)},
        "rows": facts,
    }
    write_files(
        {
            out / "page.html": html_page(TITLE, lead, [section]).encode(),
            out / "page.md": markdown(TITLE, lead, [section]).encode(),
            out / "page.json": json_bytes(content),
        }
    )
    return content


def summary(rungs: Sequence[Rung], trials: dict[int, Trial]) -> list[str]:
    """Which ingredients mattered and which did not, by their results and by the fill alone."""
    lines = []
    for figure, words in (("result", "By the result"), ("composited", "By the fill alone (composited FID)")):
        groups: dict[str, list[str]] = {"better": [], "tie": [], "worse": []}
        for number in sorted(trials):
            if told := verdict(changes(rungs, trials, number)[figure]):
                groups[told].append(rungs[number].name)
        names = {"better": "mattered", "tie": "made no difference beyond the interval", "worse": "did harm"}
        parts = [f"{names[told]}: {', '.join(found)}" for told, found in groups.items() if found]
        if parts:
            lines.append(f"{words}, {'; '.join(parts)}.")
    return lines


def _mark(mark: str) -> Mark:
    return "best" if mark == "best" else "tie" if mark == "tie" else ""


def _interval(value: Interval | None) -> str:
    return "" if value is None else f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _gap(value: Interval | None) -> str:
    return "" if value is None else f"{value.value:+.2f} [{value.low:+.2f}, {value.high:+.2f}]"
