"""`maskmend train --on FOLDER`: fine-tunes a model on a folder of pictures."""

import os
from pathlib import Path

import click

from maskmend.errors import ConfigError


def train_on(
    source: Path,
    output: Path | None,
    *,
    model: str,
    minutes: float | None,
    learnt: str | None,
    device: str,
    restart: bool,
) -> None:
    """Fine-tunes `model` on the pictures of `source` and packs it as `output`; status 130 when stopped."""
    if output is None:
        raise ConfigError(
            f"--on {source} without --output: name the folder of the model, such as -o my-model"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "--on trains in one process: start it without torchrun, or train with recipes (docs/training.md)"
        )

    from maskmend.training.finetune.run import Request, finetune
    from maskmend.training.progress import watch_run

    request = Request(
        source=source,
        output=output,
        model=model,
        minutes=minutes,
        learnt=learnt,
        device=device,
        restart=restart,
    )
    try:
        finished = finetune(request, watch_run, click.echo).finished
    except KeyboardInterrupt:
        # Stages save by themselves. This is before the first or after the last, where each part is written
        # whole.
        click.echo("stopped; what was done is kept, and the same command resumes")
        finished = False
    if not finished:
        click.get_current_context().exit(130)
