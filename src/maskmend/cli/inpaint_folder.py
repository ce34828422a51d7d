"""`maskmend inpaint --input FOLDER`."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click import format_filename as shown

from maskmend.cli.options import Filler

SHOWN = 5
"""Maximum number of names shown of a list."""


def inpaint_folder(
    folder: Path,
    masks: Path | None,
    output: Path,
    suffix: str | None,
    filler: Filler,
    *,
    guides: Path | None,
    **options: Any,
) -> None:
    """Fills a folder and reports the result; the exit status is 1 when some pictures could not be filled."""
    from maskmend.batch.folder import FAILURES, fill_folder, lone_masks, plan_folder
    from maskmend.batch.manifest import NAME
    from maskmend.cli.progress import stages

    tasks = plan_folder(
        folder,
        masks,
        output,
        guides=guides,
        samples=options["samples"],
        suffix=None if suffix is None else f".{suffix}",
    )
    echo_lone_masks(lone_masks(tasks, folder, masks, output), folder, masks)
    pipe, chosen = filler.load()
    try:
        with stages() as progress:
            outcome = fill_folder(
                pipe, tasks, output, guided=guides is not None, progress=progress, **options, **chosen
            )
    except KeyboardInterrupt:
        same = "the same command, without --overwrite," if options["overwrite"] else "the same command"
        click.echo(f"stopped; {same} continues with what is missing", err=True)
        if (output / FAILURES).is_file():
            click.echo(f"what could not be filled is listed in {shown(output / FAILURES)}", err=True)
        sys.exit(130)
    for task in tasks:
        if task.name in outcome.likeliest:
            click.echo(f"best: {shown(output / outcome.likeliest[task.name])}")
    unknown = outcome.filled + outcome.skipped - len(outcome.likeliest) if options["samples"] > 1 else 0
    skipped = f", {outcome.skipped} done before" if outcome.skipped else ""
    # File names may hold bytes that are no UTF-8, which a terminal cannot show.
    click.echo(f"filled {outcome.filled} of {len(tasks)} pictures into {shown(output)}{skipped}")
    if unknown:
        click.echo(
            f"the best fill is not known of {unknown} done before, as it was not recorded; --overwrite "
            "makes them again"
        )
    lossy = sum(task.outputs[0].suffix.lower() in (".jpg", ".jpeg") for task in tasks)
    if lossy and outcome.filled:
        click.echo(
            f"{lossy} of the results are JPEG, which re-encodes every pixel; --format png keeps the known "
            "ones to the bit"
        )
    for note, count in Counter(outcome.notes.values()).items():
        click.echo(f"{count} picture{'s' if count > 1 else ''}: {note}", err=True)
    if outcome.notes and (output / NAME).is_file():
        click.echo(f"which ones is noted in {shown(output / NAME)}", err=True)
    if outcome.failures:
        click.secho(f"{len(outcome.failures)} could not be filled:", fg="red", err=True)
        for name, reason in outcome.failures.items():
            click.echo(shown(f"  {name}: {reason}"), err=True)
        click.echo(f"the list is in {shown(output / FAILURES)}", err=True)
        sys.exit(1)


def echo_lone_masks(lone: Sequence[Path], folder: Path, masks: Path | None) -> None:
    """Names masks that belong to no image, if there are any."""
    if masks is not None and lone:
        names = ", ".join(shown(path.relative_to(masks)) for path in lone[:SHOWN])
        more = f" and {len(lone) - SHOWN} more" if len(lone) > SHOWN else ""
        click.echo(f"masks without an image of their name in {shown(folder)}: {names}{more}", err=True)
