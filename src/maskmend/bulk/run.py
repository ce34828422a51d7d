"""Runs a job: in this process, or by an engine that yields reports of chunks."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from maskmend.bulk.entries import parts_of
from maskmend.bulk.job import Job
from maskmend.bulk.manifest import FAILURES, PARTS, failures_csv, part_name, read_part
from maskmend.bulk.sources import Source
from maskmend.bulk.tally import Tally
from maskmend.bulk.worker import Report, Worker
from maskmend.pipeline import InpaintPipeline
from maskmend.storage.files import write_files
from maskmend.storage.stores import is_url

EVERY = 10.0
"""Seconds between two updates of the Prometheus metrics."""


def fill_here(job: Job, pipe: InpaintPipeline) -> Iterator[Report]:
    """Fills the chunks of the job's shard one by one."""
    worker = Worker(job, pipe)
    for chunk in job.source.chunks(shard=job.shard, size=job.chunk):
        yield worker.fill(chunk)


def follow(
    job: Job,
    reports: Iterable[Report],
    *,
    progress: Callable[[Tally], None] | None = None,
    metrics: Path | None = None,
) -> Tally:
    """Consumes `reports` and sums them up; writes the list of failures, also when the run is interrupted.

    Memory use does not grow with the number of pictures, except for the names of the chunks. At the end of a
    complete run, parts of the manifest without a chunk are removed; these are left over when pictures were
    removed from the source.
    """
    tally = Tally(total=count(job), parts=_parts(job))
    written = 0.0
    try:
        for report in reports:
            tally.add(report)
            if progress is not None:
                progress(tally)
            if metrics is not None and time.monotonic() - written > EVERY:
                write_files({metrics: tally.prometheus().encode()})
                written = time.monotonic()
        if job.shard.count == 1:
            _prune(job, tally.names)
    finally:
        _list_failures(job, tally.failing)
        if metrics is not None:
            write_files({metrics: tally.prometheus().encode()})
    return tally


def count(job: Job) -> int | None:
    """Number of pictures in the job's shard; None where remote shards would be read for it."""
    parts, whole = parts_of(job.source.parts(), job.shard)
    if job.source.kind == "parquet" and whole:
        return sum(job.source.rows(part) or 0 for part in parts)
    if _is_remote(job.source) and job.source.kind != "folder":
        return None
    return sum(len(chunk.entries) for chunk in job.source.chunks(shard=job.shard, size=job.chunk))


def failures_name(job: Job) -> str:
    """The name of the list of failures in the target."""
    shard = job.shard
    return f"{FAILURES}.csv" if shard.count == 1 else f"{FAILURES}-{shard.index}-of-{shard.count}.csv"


def _parts(job: Job) -> float:
    """The parts that the job fills, in fractions where several jobs share each of them out."""
    parts, whole = parts_of(job.source.parts(), job.shard)
    return len(parts) / (1 if whole else job.shard.count)


def _list_failures(job: Job, chunks: list[str]) -> None:
    found = [
        (f"{one.part}/{one.key}" if one.part else one.key, one.reason or "")
        for chunk in chunks
        for one in read_part(job.store, chunk) or ()
        if one.status == "failed"
    ]
    if found:
        job.store.write(failures_name(job), failures_csv(found))
    else:
        job.store.remove(failures_name(job))


def _prune(job: Job, seen: set[str]) -> None:
    removed = []
    for name in job.store.listing(PARTS)[1]:
        chunk = name.rsplit("/", 1)[-1].removesuffix(".jsonl")
        if name.endswith(".jsonl") and chunk not in seen:
            if job.form != "files":
                removed.append(f"{chunk}.{job.form}")
            removed.append(part_name(chunk))
    job.store.change({}, removed)


def _is_remote(source: Source) -> bool:
    return is_url(source.images)
