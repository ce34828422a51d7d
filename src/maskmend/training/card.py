"""Drafts the card (README.md) of a model folder from its runs: data, recipes, metrics, time.

What the runs do not record, such as the licence of the data, is left as a question to answer.
"""

import itertools
import json
from pathlib import Path
from typing import Any

from maskmend.errors import TrainingError
from maskmend.training import checkpoint

UNKNOWN = "Not given: write here what the pictures are, where they come from and under which terms."


def draft_card(tokenizer: Path, transformer: Path, *, data: str | None = None) -> str:
    """The card's Markdown; folders that are no runs are only named. `data`: provenance and licence."""
    lines = [
        "# A maskmend model",
        "",
        "Fills holes in pictures by masked token modelling: "
        "`maskmend inpaint IMAGE --mask MASK -o OUT --model THIS-FOLDER`.",
        "",
        "## Data and licence",
        "",
        data or UNKNOWN,
        "",
    ]
    for stage, folder in (("tokenizer", tokenizer), ("transformer", transformer)):
        lines += [f"## {stage.capitalize()}", "", *_of_run(folder), ""]
    return "\n".join(lines)


def _of_run(folder: Path) -> list[str]:
    last, log = folder / "last.pt", folder / "metrics.jsonl"
    if not last.is_file() or not log.is_file():
        return [f"Taken from a folder without its run ({folder.name}); recipe and metrics are not known."]
    content = checkpoint.read(last)
    recipe = content["recipe"]
    try:
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        validation = [row for row in rows if row["kind"] == "validation"]
        minutes = _minutes(rows, recipe["training"]["batch"])
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"cannot read {log} ({error}): restore it, or pack the component folder"
        ) from None
    kept = recipe["training"]["keep"]
    shown = validation[-1:] if kept == "last" else sorted(validation, key=lambda row: row["loss"])[:1]
    lines = [
        f"Trained {content['step']} steps in {minutes:.0f} minutes on `{recipe['data']['train']}`, validated "
        f"on `{recipe['data']['validation']}`; the {kept} averaged weights.",
        "",
    ]
    for row in shown:
        figures = {name: value for name, value in row.items() if name not in ("kind", "step", "time")}
        lines += [f"Validation at step {row['step']}:", "", "| figure | value |", "| --- | ---: |"]
        lines += [f"| {name} | {value:.4g} |" for name, value in figures.items()]
    command = f"maskmend train {recipe['stage']} --config recipe.toml"
    lines += ["", f"Recipe (`{command}`):", "", "```json", json.dumps(_given(recipe), indent=1), "```"]
    return lines


def _given(recipe: dict[str, Any]) -> dict[str, Any]:
    """The tables that matter to the recipe's stage."""
    others = {"tokenizer", "transformer", "decoder"} - {recipe["stage"]}
    return {name: value for name, value in recipe.items() if name not in others and value not in (None, {})}


def _minutes(rows: list[dict[str, Any]], batch: int) -> float:
    """Minutes of training according to the log, without pauses. A gap between two lines that exceeds the time
    of their images at the logged throughput by a minute counts as that time; without a throughput, a gap of
    ten minutes is a pause."""
    seconds = 0.0
    for before, after in itertools.pairwise(rows):
        gap = float(after["time"]) - float(before["time"])
        rate = float(after.get("images_per_second", 0))
        if rate > 0:
            took = (after["step"] - before["step"]) * batch / rate
            seconds += gap if 0 <= gap < took + 60 else max(took, 0)
        elif 0 <= gap < 600:
            seconds += gap
    return seconds / 60
