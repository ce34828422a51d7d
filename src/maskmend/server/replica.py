"""One replica of `maskmend serve --engine ray`: an actor that holds the models and fills batches.

It keeps nothing from one batch to the next. What a fill tells on its way is streamed back to the server,
which holds the connections; when that stops listening, the fill ends at its next step.
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
"""Seconds of silence after which the server is given a chance to say that nobody waits any more."""
CARRIED = ("picture", "mask", "guide", "note", "model", "samples", "seed", "settings", "watched")
"""What a replica is told of a job: all but who waits for it."""

News = tuple[int | None, str, Any]
"""(a job's place in the batch, what, detail) as jobs are told; of the whole batch "failed", "done" and
"beat", with None as the place."""


def carried(job: Job) -> dict[str, Any]:
    """A job as it is sent."""
    return {name: getattr(job, name) for name in CARRIED}


class Replica:
    """Raises ModelError where the default model cannot be loaded.

    Args:
        models: as `Catalogue.open` takes them, to be found on this machine.
        device: cpu, cuda, auto.
        threads: processors for all batches at once.
        batches: how many are filled at the same time.
    """

    def __init__(self, models: tuple[str, ...], device: str, threads: int, batches: int) -> None:
        self.catalogue = Catalogue.open(models, pick_device(device))
        self.catalogue.entry(None).loaded()
        share = max(1, threads // batches)  # OpenMP counts for each thread that starts work
        self.threads = ThreadPoolExecutor(batches, initializer=torch.set_num_threads, initargs=(share,))

    async def fill(self, jobs: list[dict[str, Any]]) -> AsyncGenerator[News, None]:
        """Fills a batch of one kind: `carried` jobs in, news of them out, "done" or "failed" at the end."""
        loop, inbox = asyncio.get_running_loop(), asyncio.Queue[News]()

        def tell(place: int | None, what: str, detail: Any = None) -> None:
            loop.call_soon_threadsafe(inbox.put_nowait, (place, what, detail))

        batch = [Job(**job, tell=partial(tell, place)) for place, job in enumerate(jobs)]
        self.threads.submit(self._fill, batch, tell)
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

    def _fill(self, batch: list[Job], tell: Any) -> None:
        def finished(index: int, result: Inpainted) -> None:
            # What no answer shows stays here, and the picture is there already.
            tell(index, "filled", replace(result, source=None, history=(), regions=()))  # pyright: ignore

        try:
            fill(self.catalogue.entry(batch[0].model).loaded(), batch, finished)
        except Abandoned:
            tell(None, "done")
        except MaskmendError as error:
            tell(None, "failed", error)
        except Exception as error:
            LOG.exception("a batch failed")
            # As a kind of error that the other side knows.
            tell(None, "failed", RuntimeError(f"{type(error).__name__}: {error}"))
        else:
            tell(None, "done")
