"""One replica of `maskmend serve --engine ray`: an actor that holds the models and fills batches.

It keeps no state between batches. Progress events are streamed back to the server, which holds the client
connections. When the server stops reading the stream, the fill ends at its next step.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from maskmend.errors import MaskmendError
from maskmend.fill.result import Inpainted
from maskmend.inference.devices import pick_device
from maskmend.server.queue import Job
from maskmend.server.registry import Catalogue
from maskmend.server.workers import Abandoned, fill

LOG = logging.getLogger("maskmend.server")

BEAT = 0.5
"""Seconds without news after which a heartbeat is sent, so that the server can cancel the batch."""
CARRIED = ("picture", "mask", "guide", "note", "model", "samples", "seed", "settings", "watched")
"""The fields of a job that are sent to a replica: all but the callback and the cancellation flag."""

News = tuple[int | None, str, Any]
"""(index of the job in the batch, what, detail), the last two as passed to `Job.notify`. For the whole batch
the index is None and `what` is "failed", "done" or "beat"."""


def carried(job: Job) -> dict[str, Any]:
    """The fields of a job that are sent to a replica."""
    return {name: getattr(job, name) for name in CARRIED}


class Replica:
    """A Ray actor that fills batches. Raises ModelError if the default model cannot be loaded.

    Args:
        models: as for `Catalogue.open`; they must be available on the replica's machine.
        device: cpu, cuda, auto.
        threads: CPU threads for all concurrent batches together.
        batches: number of batches filled concurrently.
    """

    def __init__(self, models: tuple[str, ...], device: str, threads: int, batches: int) -> None:
        self.catalogue = Catalogue.open(models, pick_device(device))
        self.catalogue.entry(None).loaded()
        share = max(1, threads // batches)  # OpenMP keeps this setting per calling thread
        self.threads = ThreadPoolExecutor(batches, initializer=torch.set_num_threads, initargs=(share,))

    async def fill(self, jobs: list[dict[str, Any]]) -> AsyncGenerator[News, None]:
        """Fills a batch of `carried` jobs with the same terms; yields their news, then "done" or "failed"."""
        loop, inbox = asyncio.get_running_loop(), asyncio.Queue[News]()

        def notify(place: int | None, what: str, detail: Any = None) -> None:
            loop.call_soon_threadsafe(inbox.put_nowait, (place, what, detail))

        batch = [Job(**job, notify=partial(notify, place)) for place, job in enumerate(jobs)]
        self.threads.submit(self._fill, batch, notify)
        what = ""
        try:
            while what not in ("done", "failed"):
                try:
                    news = await asyncio.wait_for(inbox.get(), BEAT)
                except TimeoutError:
                    news = (None, "beat", None)
                what = news[1]
                yield news
        finally:
            for job in batch:
                job.gone.set()

    def _fill(self, batch: list[Job], notify: Any) -> None:
        def finished(index: int, result: Inpainted) -> None:
            # Fields that no response uses are not sent back; the server already has the source picture.
            notify(index, "filled", replace(result, source=None, history=(), regions=()))  # pyright: ignore

        try:
            fill(self.catalogue.entry(batch[0].model).loaded(), batch, finished)
        except Abandoned:
            notify(None, "done")
        except MaskmendError as error:
            notify(None, "failed", error)
        except Exception as error:
            LOG.exception("a batch failed")
            # As an error class that the server can unpickle.
            notify(None, "failed", RuntimeError(f"{type(error).__name__}: {error}"))
        else:
            notify(None, "done")
