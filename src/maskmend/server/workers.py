"""Threads that take batches from the queue and have them filled, in this process or by replicas elsewhere.

PyTorch lets go of the interpreter while it computes, so threads work side by side and share one copy of each
model; the processor's cores are divided among them. A batch in which something goes wrong is filled again one
by one, so that a bad request spoils no other.
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
from maskmend.fill.preview import Preview
from maskmend.masks.box import Box
from maskmend.server.metrics import Metrics
from maskmend.server.queue import Job, JobQueue
from maskmend.server.registry import Catalogue

LOG = logging.getLogger("maskmend.server")

FEW = 4
"""Parts of a hole up to which every step is shown. Of more, only each one's last: to draw all would take
several times as long as to fill them."""

LARGEST_SHOWN = 1024
"""Pixels of the longer side of the picture of a finished scale."""


class Abandoned(Exception):
    """Nobody waits for this batch any more."""


class Filler(ABC):
    """Where batches are filled."""

    running = 1
    """Processes that can fill just now."""

    @property
    def trouble(self) -> str | None:
        """Why nothing would be filled just now; None when something would."""
        return None

    @abstractmethod
    def fill(self, batch: list[Job], finished: Callable[[int, Any], None]) -> None:
        """As the function `fill`."""


class InProcess(Filler):
    """With this process's own models."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def fill(self, batch: list[Job], finished: Callable[[int, Any], None]) -> None:
        fill(self.catalogue.entry(batch[0].model).loaded(), batch, finished)


class Workers:
    """`count` threads that fill jobs of `queue`, started by `start`, ended by closing the queue."""

    def __init__(self, count: int, queue: JobQueue, filler: Filler, metrics: Metrics) -> None:
        self.queue, self.filler, self.metrics = queue, filler, metrics
        # The process's own setting, or the machine's cores, divided
        self.share = max(1, torch.get_num_threads() // count)
        names = (f"maskmend-worker-{n}" for n in range(1, count + 1))
        self.threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def join(self, seconds: float) -> None:
        """Waits for the threads to end; the queue must be closed."""
        until = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        torch.set_num_threads(self.share)  # OpenMP counts for each thread that starts work
        while (batch := self.queue.next_batch()) is not None:
            self._fill(batch)
            del batch  # or the last pictures stay in memory until the next ones come

    def _fill(self, batch: list[Job]) -> None:
        start = time.monotonic()
        for job in batch:
            self.metrics.waited.observe(start - job.queued)
            job.tell("started", {"batch": len(batch)})
        waiting = dict(enumerate(batch))

        def finished(index: int, result: Any) -> None:
            job, spent = waiting.pop(index), time.monotonic() - start
            self.metrics.fills.inc(job.samples)
            if not waiting:  # counted before the last one is answered, who may ask for the figures at once
                self.queue.measured(spent, len(batch))
                self.metrics.spent.observe(spent)
                self.metrics.batches.observe(len(batch))
            job.tell("filled", (result, spent))

        try:
            self.filler.fill(batch, finished)
        except Abandoned:
            return
        except Exception as error:
            if len(batch) > 1:
                LOG.warning("a batch of %d failed (%s); one by one", len(batch), error)
                for job in waiting.values():
                    self._fill([job])
                return
            batch[0].tell("failed", error)


def fill(pipe: Any, batch: list[Job], finished: Callable[[int, Any], None]) -> None:
    """Fills a batch of one kind; `finished` is called with each job's index in the batch and its result, when
    it is there.

    Raises Abandoned as soon as nobody waits for any of them.
    """

    def check_cancelled(_: object) -> None:
        if all(job.gone.is_set() for job in batch):
            raise Abandoned

    def on_preview(preview: Preview) -> None:
        check_cancelled(preview)
        for index, job in enumerate(batch):
            if not job.watched or index not in preview.regions or job.gone.is_set():
                continue
            if preview.parts[index] <= FEW or preview.last:
                job.tell("step", step_news(preview, index))

    def on_level(progress: LevelProgress) -> None:
        check_cancelled(progress)
        job = batch[progress.image]
        if job.watched and not job.gone.is_set():
            job.tell("level", level_news(progress, job.mask))

    first = batch[0]
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
    """What a watcher is told of the finer scales: how far they are, and the hole as a picture where one is
    done.

    No side of that picture has more than `LARGEST_SHOWN` pixels: it is looked at for a moment.
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


def step_news(preview: Preview, index: int) -> dict[str, Any]:
    """What a watcher is shown of one step: where, which tokens are open, and the picture, for each sample."""
    return {
        "step": preview.step.index,
        "part": preview.part,
        "parts": preview.parts[index],
        "box": preview.box(index),
        "hidden": [preview.hidden(index, sample) for sample in range(preview.samples)],
        "pictures": [preview.picture(index, sample) for sample in range(preview.samples)],
    }
