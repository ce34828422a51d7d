"""The output of `maskmend train`: a progress line with metrics, throughput and time left."""

import os
import sys
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from maskmend.training.loop import TrainingOutcome
from maskmend.training.recipe import Recipe, read_recipe
from maskmend.training.run import run
from maskmend.training.run_config import TrainingConfig

SHOWN = ("loss", "l1", "lpips", "psnr", "codebook_used", "accuracy", "images_per_second", "mfu", "data_wait")


def metrics_line(values: dict[str, float]) -> str:
    """The metrics shown on the terminal, in one line."""
    return "  ".join(f"{name} {values[name]:.4g}" for name in SHOWN if name in values)


def time_left(values: dict[str, float], training: TrainingConfig) -> str:
    """The time left at the present throughput; empty if unknown."""
    if not values.get("images_per_second"):
        return ""
    seconds = (training.steps - values["step"]) * training.batch / values["images_per_second"]
    return f"  {timedelta(seconds=round(seconds))} left"


def train_with_progress(
    stage: str, config_path: Path, out: Path, assignments: tuple[str, ...] = (), restart: bool = False
) -> TrainingOutcome:
    """Runs the recipe of a file, as `watch_run` does."""
    return watch_run(read_recipe(stage, config_path, assignments), out, restart)


def watch_run(recipe: Recipe, out: Path, restart: bool = False) -> TrainingOutcome:
    """Runs `recipe` with a live progress bar on a terminal, plain lines elsewhere."""
    quiet = int(os.environ.get("RANK", "0")) != 0
    # File names are printed through it: brackets in them are not markup. And a log must not be wrapped at 80
    # columns.
    console = Console(quiet=quiet, markup=False, highlight=False, soft_wrap=True)
    columns = (
        TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[figures]}"),
    )  # fmt: skip
    live = sys.stdout.isatty() and not quiet
    with Progress(*columns, console=console, disable=not live) as progress:
        task = progress.add_task(f"train {recipe.stage}", total=recipe.training.steps, figures="")

        def on_metrics(kind: str, values: dict[str, float]) -> None:
            if live:
                progress.update(task, completed=int(values["step"]), figures=metrics_line(values))
            if kind == "validation" or not live:
                line = f"{kind} step {int(values['step'])}/{recipe.training.steps}  {metrics_line(values)}"
                console.print(line + time_left(values, recipe.training))

        outcome = run(recipe, out, resume=not restart, on_metrics=on_metrics, log=console.print)
    state = "finished" if outcome.finished else "stopped and saved; the same command resumes"
    best = "no validation yet" if outcome.best is None else f"best validation loss {outcome.best:.4g}"
    console.print(f"{state} at step {outcome.step}; {best}; run folder: {out}")
    return outcome
