"""`maskmend inpaint --watch FOLDER`: fills each new picture until Ctrl-C."""

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
from click import format_filename as shown

from maskmend.cli.inpaint_folder import echo_lone_masks
from maskmend.cli.options import Filler

INTERVAL = 0.5
"""Seconds between two polls of the folder."""
AT_ONCE = 16
"""Pictures that are filled before the next poll."""


def inpaint_watch(
    folder: Path,
    masks: Path | None,
    output: Path,
    suffix: str | None,
    filler: Filler,
    *,
    guides: Path | None,
    **options: Any,
) -> None:
    """Fills what appears in the folder; ends with Ctrl-C, with status 1 if some could not be filled."""
    from maskmend.batch.folder import FAILURES, fill_folder, lone_masks, plan_folder, write_failures
    from maskmend.batch.watching import Watcher

    plan = partial(
        plan_folder,
        folder,
        masks,
        output,
        guides=guides,
        samples=options["samples"],
        suffix=None if suffix is None else f".{suffix}",
        may_be_empty=True,
    )
    watcher = Watcher(plan, needs_mask=masks is not None)
    watcher.poll()  # reports missing folders before the model is loaded
    pipe, chosen = filler.load()
    fill = partial(fill_folder, pipe, output=output, guided=guides is not None, **options, **chosen)
    fill(watcher.done)  # reports results of other settings in the output folder now
    reported, filled = dict[str, str](), 0
    click.echo(f"watching {shown(folder)}: fills go to {shown(output)} (Ctrl-C ends it)")
    try:
        while True:
            ready = watcher.poll()[:AT_ONCE]
            for name, why in watcher.waiting.items():
                if reported.get(name) != why:
                    click.echo(shown(f"{name} waits: {why}"), err=True)
            reported = dict(watcher.waiting)
            if ready:
                outcome = fill([*watcher.done, *ready])  # those that are done are passed over
                changed = {task.name for task in watcher.tried(ready, outcome.failures)}
                write_failures(output / FAILURES, watcher.failures)
                for task in ready:
                    if task.name in changed:
                        click.echo(shown(f"{task.name} was changed meanwhile: it is filled again"), err=True)
                    elif task.name in outcome.failures:
                        click.secho(shown(f"{task.name}: {outcome.failures[task.name]}"), fg="red", err=True)
                    else:
                        filled += 1
                        note = outcome.notes.get(task.name)
                        click.echo(f"filled {shown(task.name)}: {', '.join(map(shown, task.outputs))}")
                        if note:
                            click.echo(f"{shown(task.name)}: {note}", err=True)
            else:
                time.sleep(INTERVAL)
    except KeyboardInterrupt:
        write_failures(output / FAILURES, watcher.failures)
        # Only now, as a picture could still have appeared before.
        echo_lone_masks(lone_masks(plan(), folder, masks, output), folder, masks)
        click.echo(
            f"stopped; filled {filled} picture{'' if filled == 1 else 's'} into {shown(output)}", err=True
        )
        if watcher.failures:
            where = shown(output / FAILURES)
            click.echo(f"{len(watcher.failures)} could not be filled; the list is in {where}", err=True)
            sys.exit(1)
