"""Filling on a Ray cluster (extra `ray`), with an autoscaling pool of actors that each load the model once.

`fill_dataset` is for use in your own pipeline: it takes a Ray Dataset of pictures and masks and returns it
with their fills. `fill_on_ray` does the same as `run.fill_here`: tasks list the chunks, one shard each, and
every chunk is its own block. When a worker dies, only its current chunk is lost, and Ray reassigns it.
"""

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskmend.bulk.entries import Chunk, Location
from maskmend.bulk.filling import Item, fill_items
from maskmend.bulk.job import Filling, Job
from maskmend.bulk.sources import Source
from maskmend.bulk.worker import Report, Worker
from maskmend.errors import ConfigError, MaskmendError
from maskmend.inference.cluster import connect, import_ray

if TYPE_CHECKING:
    from ray.data import Dataset  # pyright: ignore[reportMissingImports]


LISTERS = 2
"""Tasks that list shards while the actors fill."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The actor pool, scaled with the work within these bounds and the cluster's resources."""

    least: int = 1
    most: int = 0
    """0: as many as the cluster's CPUs (or GPUs) allow when the run begins."""
    cpus: int | float = 1
    """CPUs of each actor, which uses as many threads."""
    gpus: int | float = 0
    """GPUs of each actor; if above 0, set the device to cuda."""

    def __post_init__(self) -> None:
        if self.least < 1 or (self.most and self.most < self.least) or self.cpus <= 0 or self.gpus < 0:
            raise ConfigError(
                f"a pool of {self.least} to {self.most} workers with {self.cpus:g} processors and "
                f"{self.gpus:g} GPUs: give 1 or more workers, and processors above 0"
            )


def fill_on_ray(job: Job, pool: Pool | None = None) -> Iterator[Report]:
    """Yields the reports of the chunks in order of completion.

    Connects to the cluster given by RAY_ADDRESS, or to one on this machine, or starts one there.

    Raises ConfigError if Ray is missing, or if a worker's model or settings differ from those of the run.
    """
    ray = _ray()
    pool = pool or Pool()
    start_ray()
    if job.shard.count != 1:
        raise ConfigError(
            "--shard is for jobs without Ray, which shares the pictures out by itself: leave it out"
        )
    parts = job.source.parts()

    context = ray.data.DataContext.get_current()
    before, context.target_max_block_size = context.target_max_block_size, 1  # one block per chunk
    try:
        dataset = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=len(parts))
    finally:
        context.target_max_block_size = before
    listers = ray.data.TaskPoolStrategy(size=min(LISTERS, len(parts)))
    # Listing waits for storage and must continue when the actors use all CPUs.
    dataset = dataset.flat_map(_listed, fn_args=(job.source, job.chunk), num_cpus=0, compute=listers)
    dataset = dataset.map(
        _ChunkActor,
        fn_constructor_args=(job, pool.cpus),
        compute=_compute(ray, pool),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
    )
    rows = iter(dataset.iter_rows())
    try:
        for row in rows:
            if isinstance(row["report"], MaskmendError):
                raise row["report"]
            yield row["report"]
    finally:  # a traceback would keep the iterator, and with it the actors, alive
        if isinstance(rows, Generator):
            rows.close()


def _listed(row: dict[str, Any], source: Source, size: int) -> Iterator[dict[str, Any]]:
    for chunk in source.chunks_of(row["part"], size=size):
        yield {"chunk": chunk}


def fill_dataset(
    dataset: "Dataset",
    filling: Filling | None = None,
    *,
    mask: bytes | None = None,
    pool: Pool | None = None,
    batch_size: int = 32,
) -> "Dataset":
    """Fills the pictures of a Ray Dataset.

    Args:
        dataset: with the columns `key` (text; determines the seed), `image` and `mask` (bytes of an image
            file, or its path or URL). Other columns are kept.
        filling: model, settings, seed, and how masks are read.
        mask: one mask for all pictures, as the bytes of an image file; the column `mask` is then not used.
        pool: the actor pool.
        batch_size: rows that an actor takes at a time; it fills them in batches of windows.

    Returns:
        The dataset with the columns `filled` (bytes, null on failure), `format` ("png"), `seed`, `reason`
        (text, null on success), `note` and `seconds`.
    """
    ray = _ray()
    pool = pool or Pool()
    return dataset.map_batches(
        _BatchActor,
        fn_constructor_args=(filling or Filling(), mask, pool.cpus),
        compute=_compute(ray, pool),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
        batch_size=batch_size,
        batch_format="pyarrow",
    )


def start_ray() -> None:
    """Raises ConfigError if Ray is missing or its cluster cannot be reached."""
    ray = _ray()
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
    connect()


class _ChunkActor:
    """Passes our own errors on as results, as Ray turns raised errors into a traceback text."""

    def __init__(self, job: Job, cpus: float) -> None:
        _use_threads(cpus)
        self.worker: Worker | MaskmendError
        try:
            self.worker = Worker(job)
        except MaskmendError as error:
            self.worker = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        chunk: Chunk = row["chunk"]
        try:
            report = self.worker.fill(chunk) if isinstance(self.worker, Worker) else self.worker
        except MaskmendError as error:
            report = error
        return {"report": report}


class _BatchActor:
    def __init__(self, filling: Filling, mask: bytes | None, cpus: float) -> None:
        _use_threads(cpus)
        self.filling, self.mask = filling, mask
        self.pipe = filling.load()

    def __call__(self, table: Any) -> Any:
        import pyarrow

        keys = [str(key) for key in table["key"].to_pylist()]
        images = [_content(value) for value in table["image"].to_pylist()]
        masks = [_Bytes(self.mask)] * len(keys) if self.mask is not None else None
        if masks is None:
            masks = [_content(value) for value in table["mask"].to_pylist()]
        items = (
            Item(key=key, image=image, mask=mask, tag=number)
            for number, (key, image, mask) in enumerate(zip(keys, images, masks, strict=True))
        )
        done = sorted(fill_items(self.pipe, self.filling, items), key=lambda outcome: outcome.item.tag)
        text = pyarrow.string()
        columns = {
            "filled": pyarrow.array([one.content for one in done], pyarrow.binary()),
            "format": pyarrow.array([one.suffix[1:] or None for one in done], text),
            "seed": pyarrow.array([one.seed for one in done], pyarrow.int64()),
            "reason": pyarrow.array([one.reason for one in done], text),
            "note": pyarrow.array([one.note for one in done], text),
            "seconds": pyarrow.array([one.seconds for one in done], pyarrow.float64()),
        }
        for name, column in columns.items():
            table = table.append_column(name, column)
        return table


@dataclass(frozen=True)
class _Bytes:
    content: bytes

    def read(self) -> bytes:
        return self.content


def _content(value: object) -> "_Bytes | Location | None":
    if value is None:
        return None
    return _Bytes(value) if isinstance(value, bytes) else Location(place=str(value))


def _compute(ray: Any, pool: Pool) -> Any:
    most = pool.most
    if not most:
        start_ray()
        there = ray.cluster_resources()
        most = int(there.get("GPU", 0) / pool.gpus) if pool.gpus else int(there.get("CPU", 1) / pool.cpus)
    return ray.data.ActorPoolStrategy(min_size=pool.least, max_size=max(most, pool.least))


def _use_threads(cpus: float) -> None:
    import torch

    torch.set_num_threads(max(1, int(cpus)))


def _ray() -> Any:
    return import_ray("data")
