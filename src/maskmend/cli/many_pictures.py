"""`maskmend inpaint --input` with tar shards, Parquet files, URLs, job arrays or Ray (`maskmend.bulk`)."""

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import click
from click import format_filename as shown

from maskmend.cli.options import PATH, Choice, Filler
from maskmend.errors import ConfigError

ONLY_MANY = ("engine", "shard", "seed_by", "write_as", "chunk", "workers", "retry_failed", "metrics")
"""Options that do not apply to a single picture."""
SHOWN = 5
"""Number of failures that are printed; all are in a file."""


def many_pictures(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options."""
    options = (
        click.option(
            "--engine",
            type=Choice(["local", "ray"]),
            help="With --input: fill in this process, or on a Ray cluster (RAY_ADDRESS, or this machine).",
        ),
        click.option(
            "--shard",
            metavar="I/N",
            help="With --input: fill share I (from 0) of N, for N parallel jobs; results do not depend on N.",
        ),
        click.option(
            "--seed-by",
            type=Choice(["run", "key"]),
            default="run",
            show_default=True,
            help="With --input: every picture has --seed, or a seed of its own made of --seed and its name. "
            "Shards, engines, tar, Parquet and URLs always have key.",
        ),
        click.option(
            "--write-as",
            type=Choice(["files", "tar", "parquet"]),
            help="With --input: results as files (the default), tar shards or Parquet files.",
        ),
        click.option(
            "--chunk",
            type=click.IntRange(min=1),
            default=64,
            show_default=True,
            help="With --input: pictures that are committed, and lie in one tar or Parquet file, on average.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=0),
            default=0,
            help="With --engine ray: maximum number of workers; 0: as many as the cluster has room for.",
        ),
        click.option(
            "--retry-failed", is_flag=True, help="With --input: try again what could not be filled before."
        ),
        click.option("--metrics", type=PATH, help="With --input: Prometheus figures, written every 10 s."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def is_bulk(folder: Any, mask: Any, masks: Any, output: Any, seed_by: str, guides: Any = None) -> bool:
    """Whether the command says more than "fill this folder with these masks"."""
    from maskmend.bulk.sources import holds_shards

    context = click.get_current_context()
    given = {
        name
        for name in ONLY_MANY
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    } - {"seed_by"}
    places = [place for place in (folder, mask, masks, output, guides) if isinstance(place, str)]
    return bool(given or places) or seed_by == "key" or holds_shards(str(folder))


def fill_many(
    folder: Any,
    output: Any,
    filler: Filler,
    *,
    masks: Any,
    mask: Any,
    guides: Any,
    engine: str,
    shard: str | None,
    form: str | None,
    chunk: int,
    workers: int,
    retry_failed: bool,
    metrics: Path | None,
    samples: int,
    suffix: str | None,
    overwrite: bool,
    **how: Any,
) -> None:
    """Fills a source and reports the result; the exit status is 1 when some pictures could not be filled."""
    from maskmend.bulk.entries import Shard
    from maskmend.bulk.job import Filling, Job
    from maskmend.bulk.lone_masks import lone_masks
    from maskmend.bulk.ray_engine import Pool, fill_on_ray, start_ray
    from maskmend.bulk.run import failures_name, fill_here, follow
    from maskmend.bulk.sources import open_source
    from maskmend.config import override
    from maskmend.storage.stores import joined

    if samples > 1:
        raise ConfigError(
            f"--samples {samples}: one fill of each picture is made here; run again with another --seed and "
            "--output for more"
        )
    if engine != "ray" and workers:
        raise ConfigError(f"--workers {workers} is of --engine ray: leave it out, or use --shard")
    if engine == "ray" and shard is not None:
        raise ConfigError("--engine ray shares the pictures out by itself: leave --shard out")
    filling = Filling(
        model=filler.model,
        device=filler.device,
        precision=filler.precision,
        settings=filler.given | override({}, filler.assignments, "steps=8"),
        suffix=None if suffix is None else f".{suffix}",
        **how,
    )
    source = open_source(
        folder,
        masks=masks,
        mask=mask,
        guides=guides,
        needs_mask=not filling.preparation.needs_no_mask,
        target=output,
    )
    job = Job(
        source=source,
        target=str(output),
        filling=filling,
        form=form or "files",  # pyright: ignore[reportArgumentType]
        shard=Shard() if shard is None else Shard.parse(shard),
        chunk=chunk,
        overwrite=overwrite,
        retry_failed=retry_failed,
    )
    lone = list(islice(lone_masks(source), SHOWN + 1))
    if lone:
        more = " and others" if len(lone) > SHOWN else ""
        names = ", ".join(map(shown, lone[:SHOWN]))
        click.echo(f"masks without an image of their name in {shown(folder)}: {names}{more}", err=True)
    if engine == "ray":
        start_ray()
    pipe = filling.load()
    job = job.prepare(pipe)
    gpus = 1 if pipe.device.type == "cuda" else 0
    reports = fill_here(job, pipe) if engine == "local" else fill_on_ray(job, Pool(most=workers, gpus=gpus))
    if engine == "ray":
        del pipe  # the workers have their own
    try:
        with _progress() as on_tally:
            tally = follow(job, reports, progress=on_tally, metrics=metrics)
    except KeyboardInterrupt:
        same = "the same command, without --overwrite," if overwrite else "the same command"
        click.echo(f"stopped; {same} continues with what is missing", err=True)
        sys.exit(130)
    skipped = f", {tally.skipped} done before" if tally.skipped else ""
    click.echo(f"filled {tally.filled} of {tally.done} pictures into {shown(output)}{skipped}")
    for note, count in tally.notes.items():
        click.echo(f"{count} picture{'s' if count > 1 else ''}: {note}", err=True)
    if tally.failed:
        click.secho(f"{tally.failed} could not be filled:", fg="red", err=True)
        for name, reason in tally.failures[:SHOWN]:
            click.echo(shown(f"  {name}: {reason}"), err=True)
        click.echo(
            f"all are listed in {joined(str(output), failures_name(job))}; --retry-failed tries them again",
            err=True,
        )
        sys.exit(1)


class _progress:
    """A line on standard error that is rewritten; without a terminal one every half minute."""

    def __enter__(self) -> Callable[[Any], None]:
        import time

        from rich.console import Console

        self.status = Console(stderr=True).status("filling")
        terminal, last = sys.stderr.isatty(), time.monotonic()
        self.status.start()

        def on_tally(tally: Any) -> None:
            nonlocal last
            if terminal:
                self.status.update(tally.line())
            elif time.monotonic() - last > 30:
                click.echo(tally.line(), err=True)
                last = time.monotonic()

        return on_tally

    def __exit__(self, *_: object) -> None:
        self.status.stop()
