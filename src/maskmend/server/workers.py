"""Worker threads that take batches from the queue and fill them, in this process or by replicas.

PyTorch releases the GIL while it computes, so threads run in parallel and share one copy of each model; the
CPU cores are divided among them. If a batch fails, its requests are filled again one by one, so that a bad
request does not affect the others.
"""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from maskmend.fill.events import FillEvents
from maskmend.fill.levels import LevelProgress
from maskmend.fill.pace import WindowPace
from maskmend.fill.preview import Preview
from maskmend.masks.box import Box
from maskmend.server.metrics import Metrics
from maskmend.server.queue import Job, JobQueue
from maskmend.server.registry import Catalogue

LOG = logging.getLogger("maskmend.server")

FEW = 4
"""Up to this many windows of a hole, every step is shown; with more, only the last step of each window and
one step every `EVERY` seconds, because rendering all of them would take several times as long as filling."""

EVERY = 1.0
"""Seconds after which a step is shown, whatever the number of windows."""

LARGEST_SHOWN = 1024
"""Longer side, in pixels, of the picture of a finished scale."""


class Abandoned(Exception):
    """No client is waiting for this batch any more."""


class Filler(ABC):
    """Fills batches: in this process or elsewhere."""

    running = 1
    """Number of processes that are ready to fill."""

    @property
    def trouble(self) -> str | None:
        """Why batches cannot be filled at the moment, or None if they can."""
        return None

    @abstractmethod
    def fill(self, batch: list[Job], finished: Callable[[int, Any], None]) -> None:
        """Like the function `fill`."""


class InProcess(Filler):
    """Fills batches with the models of this process."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def fill(self, batch: list[Job], finished: Callable[[int, Any], None]) -> None:
        fill(self.catalogue.entry(batch[0].model).loaded(), batch, finished)


class Workers:
    """`count` threads that fill jobs from `queue`. `start` starts them; closing the queue ends them."""

    def __init__(self, count: int, queue: JobQueue, filler: Filler, metrics: Metrics) -> None:
        self.queue, self.filler, self.metrics = queue, filler, metrics
        # The process's thread setting (default: the number of cores), divided among the workers
        self.share = max(1, torch.get_num_threads() // count)
        names = (f"maskmend-worker-{n}" for n in range(1, count + 1))
        self.threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether all threads run, as from `start` until the queue is closed."""
        return all(thread.is_alive() for thread in self.threads)

    def join(self, seconds: float) -> None:
        """Waits for the threads to end; the queue must be closed."""
        until = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        torch.set_num_threads(self.share)  # OpenMP keeps this setting per calling thread
        while (batch := self.queue.next_batch()) is not None:
            self._fill(batch)
            del batch  # otherwise the pictures stay in memory until the next batch arrives

    def _fill(self, batch: list[Job]) -> None:
        start = time.monotonic()
        for job in batch:
            self.metrics.waited.observe(start - job.queued)
            job.notify("started", {"batch": len(batch)})
        waiting = dict(enumerate(batch))

        def finished(index: int, result: Any) -> None:
            job, spent = waiting.pop(index), time.monotonic() - start
            self.metrics.fills.inc(job.samples)
            if not waiting:  # before the last response: its client may read the metrics at once
                self.queue.measured(spent, len(batch))
                self.metrics.spent.observe(spent)
                self.metrics.batches.observe(len(batch))
            job.notify("filled", (result, spent))

        try:
            self.filler.fill(batch, finished)
        except Abandoned:
            return
        except BaseException as error:  # of whatever kind: the thread serves others after this batch
            if not isinstance(error, Exception):
                error = RuntimeError(repr(error))
            if len(batch) > 1:
                LOG.warning("a batch of %d failed (%s); one by one", len(batch), error)
                for job in waiting.values():
                    self._fill([job])
                return
            batch[0].notify("failed", error)


def fill(
    pipe: Any,
    batch: list[Job],
    finished: Callable[[int, Any], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Fills a batch of jobs with the same terms; calls `finished` with the index and result of each job as
    soon as it is ready. `clock` gives seconds.

    Raises Abandoned as soon as no client waits for any of the jobs.
    """
    first = batch[0]
    settings = pipe.defaults.changed(**first.settings)
    paces = [WindowPace(settings.steps, clock, finer_steps=settings.detail_steps) for _ in batch]
    last_news = [clock()] * len(batch)
    """When each job was last sent a step."""

    def check_cancelled(_: object) -> None:
        if all(job.gone.is_set() for job in batch):
            raise Abandoned

    def on_preview(preview: Preview) -> None:
        check_cancelled(preview)
        for index, job in enumerate(batch):
            if not job.watched or index not in preview.regions or job.gone.is_set():
                continue
            windows, pace = preview.windows[index], paces[index]
            pace.update(
                window=preview.window,
                concurrent=preview.concurrent,
                windows=windows,
                step=preview.step.index,
                last=preview.last,
                finer=preview.finer[index],
            )
            if windows <= FEW or preview.last or clock() - last_news[index] >= EVERY:
                last_news[index] = clock()
                job.notify("step", step_news(preview, index, pace.left))

    def on_level(progress: LevelProgress) -> None:
        check_cancelled(progress)
        job = batch[progress.image]
        if job.watched and not job.gone.is_set():
            job.notify("level", level_news(progress, job.mask))

    guides = [job.guide for job in batch]
    pipe(
        [job.picture for job in batch],
        [job.mask for job in batch],
        samples=first.samples,
        seed=[job.seed for job in batch],
        events=FillEvents(on_preview=on_preview, on_result=finished, on_level=on_level),
        **({"guide": guides} if any(guide is not None for guide in guides) else {}),
        **first.settings,
    )


def level_news(progress: LevelProgress, mask: np.ndarray) -> dict[str, Any]:
    """The detail of a "level" event: the progress of the finer scales, and a picture of the hole for each
    finished scale.

    The picture is only a preview, so neither side exceeds `LARGEST_SHOWN` pixels.
    """
    news: dict[str, Any] = {"progress": progress}
    if progress.pixels is not None:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = Box(
            top=int(rows[0]),
            left=int(columns[0]),
            height=int(rows[-1] - rows[0] + 1),
            width=int(columns[-1] - columns[0] + 1),
        )
        shown = Image.fromarray(np.ascontiguousarray(progress.pixels[box.slices]))
        shown.thumbnail((LARGEST_SHOWN, LARGEST_SHOWN))
        news |= {"box": box, "picture": np.asarray(shown)}
    return news


def step_news(preview: Preview, index: int, seconds_left: float) -> dict[str, Any]:
    """The detail of a "step" event: the box, for each sample the masked tokens and the picture, and the time
    until all windows are done."""
    return {
        "seconds_left": seconds_left,
        "step": preview.step.index,
        "part": preview.window,
        "parts": preview.windows[index],
        "box": preview.box(index),
        "hidden": [preview.masked(index, sample) for sample in range(preview.samples)],
        "pictures": [preview.picture(index, sample) for sample in range(preview.samples)],
    }
