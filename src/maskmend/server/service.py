"""The components of a running server, and how a fill passes through them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from maskmend.errors import ConfigError
from maskmend.fill.labels import SEPARATOR, TRIED
from maskmend.fill.result import Inpainted, joined_notes
from maskmend.server.deliveries import Delivered, Deliveries, Delivery
from maskmend.server.errors import ApiError, api_error_from
from maskmend.server.inbox import Inbox
from maskmend.server.metrics import Metrics
from maskmend.server.parameters import MAX_SEED, Parameters
from maskmend.server.queue import Job, JobQueue, Slot
from maskmend.server.registry import Catalogue
from maskmend.server.requests import Decoder, Order
from maskmend.server.responses import check_format, event, fill_of, level_event, step_event, summary
from maskmend.server.settings import ServeConfig
from maskmend.server.threads import Threads
from maskmend.server.uploads import Uploads
from maskmend.server.workers import Filler, InProcess, Workers

LOG = logging.getLogger("maskmend.server")
T = TypeVar("T")

GRACE = 10.0
"""Seconds beyond the time limit for a client to read a stream's last events."""


@dataclass(frozen=True, kw_only=True)
class FillResponse:
    """A finished fill."""

    result: Inpainted
    model: str
    codes: int
    seconds: float


class Service:
    def __init__(self, config: ServeConfig, catalogue: Catalogue, filler: Filler | None = None) -> None:
        self.filler = filler or InProcess(catalogue)
        self.config, self.catalogue, self.limits = config, catalogue, config.limits
        self.metrics = Metrics()
        self.queue = JobQueue(
            places=self.limits.places,
            pixels=self.limits.pixels_at_once,
            batch=self.limits.batch,
            workers=config.batches_at_once,
        )
        self.uploads = Uploads(self.queue, self.limits)
        self.deliveries = Deliveries(3 * self.limits.pixels_at_once, self.metrics.abandoned.inc)
        self.metrics.uploads.set_function(lambda: self.queue.arriving)
        self.metrics.replicas.set_function(lambda: self.filler.running)
        self.metrics.waiting.set_function(lambda: self.queue.waiting)
        self.metrics.taken.set_function(lambda: self.queue.taken)
        self.workers = Workers(config.batches_at_once, self.queue, self.filler, self.metrics)
        self.decoder = Decoder(self.limits)
        self.encoders = Threads("maskmend-encoder", 2)
        self.trouble: str | None = None
        """Why the default model could not be loaded."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts the workers and loads the default model; on exit, waits for fills in progress."""
        self.workers.start()
        loading = asyncio.create_task(asyncio.to_thread(self._load_default))
        try:
            yield
        finally:
            self.queue.close()
            await asyncio.to_thread(self.workers.join, self.limits.drain)
            for threads in (self.decoder.threads, self.encoders):
                threads.close()
            await loading

    def _load_default(self) -> None:
        try:
            self.catalogue.entry(None).loaded()
        except Exception as error:
            # Not in the response: any client may read that, and the reason contains local paths.
            LOG.error("the model cannot be used: %s", error)  # noqa: TRY400 - the message is enough
            self.trouble = "see the server's log"

    @property
    def ready(self) -> str | None:
        """None when the server accepts fills, else the reason why it does not."""
        if self.queue.closed:
            return "stopping"
        if self.trouble is not None:
            return f"the model cannot be used: {self.trouble}"
        for name, threads in (("decoding", self.decoder.threads), ("encoding", self.encoders)):
            if threads.busy_for > self.limits.seconds:
                return f"{name} one picture takes longer than the time limit of {self.limits.seconds:g} s"
        if not self.workers.alive:
            return "the threads that fill have ended"
        return self.filler.trouble if self.catalogue.entry(None).pipe is not None else "loading the model"

    def check(self, parameters: Parameters) -> None:
        """Raises ApiError for an unknown model, and for parameters above this server's limits."""
        entry = self.catalogue.entry(parameters.model)
        for name, value, most in (
            ("samples", parameters.samples, self.limits.samples),
            ("steps", parameters.steps or entry.defaults.steps, self.limits.steps),
            ("sweet_spot", parameters.sweet_spot or 0, self.limits.steps),
            ("detail_steps", parameters.detail_steps or entry.defaults.detail_steps, self.limits.steps),
        ):
            if value > most:
                message = f"{name}: give 1 to {most}, the most that this server takes"
                raise ApiError(422, "parameters_invalid", message)
        if parameters.seed > (most := MAX_SEED + 1 - parameters.samples):
            message = (
                f"seed: give 0 to {most}, so that those of all {parameters.samples} fills can be asked for"
            )
            raise ApiError(422, "parameters_invalid", message)
        try:
            chosen = entry.defaults.changed(**parameters.settings())
            if entry.pipe is not None:
                entry.pipe.labels_for(chosen)
        except ConfigError as error:
            raise ApiError(422, "setting_invalid", str(error)) from None
        # All fills are made under each of several classes; "auto" tries as many.
        if str(parameters.label or "").count(SEPARATOR) >= TRIED:
            message = f"label: give at most {TRIED} classes, of which each takes the time of all fills"
            raise ApiError(422, "parameters_invalid", message)

    async def job(self, order: Order, slot: Slot, notify: Any, *, watched: bool = False) -> Job:
        """The order as a checked and decoded job that is not yet queued."""
        parameters = order.parameters
        self.check(parameters)
        decoded = await self.decoder.order(order, slot)
        order.forget_files()  # it may wait for long, and its response may take even longer
        slot.forget_bytes()
        check_format(decoded.picture, parameters.format)  # before the fill is computed
        return Job(
            picture=decoded.picture,
            mask=decoded.mask,
            guide=decoded.guide,
            note=decoded.note,
            model=self.catalogue.entry(parameters.model).name,
            samples=parameters.samples,
            seed=parameters.seed,
            settings=parameters.settings(),
            notify=notify,
            watched=watched,
        )

    async def answered(
        self, request: Request, order: Order, slot: Slot, answer: Callable[[FillResponse], Awaitable[T]]
    ) -> T:
        """Queues the order and passes its result to `answer`. Raises ApiError.

        The job is cancelled if the client disconnects.
        """
        inbox = Inbox()
        job = await self.job(order, slot, inbox.put)
        self.queue.add(job)
        leaving = asyncio.create_task(_departure(request))
        try:
            while True:
                what, detail = await inbox.get(leaving)
                if what == "filled":
                    return await answer(self._filled(job, *detail))
        finally:
            job.gone.set()
            leaving.cancel()

    def _filled(self, job: Job, result: Inpainted, seconds: float) -> FillResponse:
        codes = self.catalogue.entry(job.model).loaded().transformer.config.codes
        result = replace(result, note=joined_notes(job.note, result.note))
        return FillResponse(result=result, model=job.model, codes=codes, seconds=seconds)

    def delivered(self, answer: Response) -> Delivered:
        """`answer`, with the same time limit for reading it as for the request."""
        return Delivered(answer, self.deliveries, self.limits.seconds)

    async def events(
        self, order: Order, slot: Slot, until: float, delivery: Delivery
    ) -> AsyncGenerator[bytes, None]:
        """A fill as a stream of events; ends with "done" or "error".

        The slot is released as soon as the fill is computed, however much of the stream has been read.

        No timeout spans a `yield`, as it would fire in the code that sends; the sender needs its own.
        """
        inbox, loop = Inbox(), asyncio.get_running_loop()
        job: Job | None = None

        def made(result: Inpainted) -> None:
            delivery.weigh(sum(picture.pixels.nbytes for picture in result.pictures))
            slot.release()

        def notify(what: str, detail: Any) -> None:
            inbox.put(what, detail)
            if what == "filled":
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(made, detail[0])

        try:
            async with asyncio.timeout_at(until):
                job = await self.job(order, slot, notify, watched=True)
            yield event("queued", {"ahead": self.queue.add(job)})
            steps = self.catalogue.entry(job.model).defaults.changed(**job.settings).steps
            while True:
                what, detail = await inbox.next(until)
                if what == "silence":
                    yield b": still here\n\n"
                elif what == "started":
                    yield event("started", detail)
                elif what == "step":
                    yield await self.encode(lambda news=detail: event("step", step_event(news, steps)), until)
                elif what == "level":
                    yield await self.encode(
                        lambda news=detail: event("level", level_event(news, job.samples)), until
                    )
                else:
                    filled = self._filled(job, *detail)
                    break
            for sample in range(job.samples):

                def fill(n: int = sample) -> bytes:
                    return event("fill", {"index": n} | fill_of(filled.result, n, order.parameters))

                yield await self.encode(fill, until)
            yield await self.encode(lambda: event("done", self.summary(filled)), until)
        except TimeoutError:
            self.metrics.abandoned.inc()
            yield event("error", self.too_slow().body())
        except Exception as error:
            yield event("error", api_error_from(error).body())
        except BaseException:  # the client disconnected, or was cut off
            self.metrics.abandoned.inc()
            raise
        finally:
            if job is not None:
                job.gone.set()

    def summary(self, filled: FillResponse) -> dict[str, Any]:
        return summary(filled.result, filled.model, filled.codes, filled.seconds)

    async def encode(self, work: Callable[[], T], until: float) -> T:
        """Runs `work` in one of a few threads. Raises TimeoutError at `until`."""
        async with asyncio.timeout_at(until):
            return await self.encoders.run(work)

    def too_slow(self) -> ApiError:
        return ApiError(
            504, "too_slow",
            f"the time limit of {self.limits.seconds:g} s is over: take fewer samples or steps, or try when "
            "fewer are waiting",
        )  # fmt: skip

    def deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.limits.seconds


async def _departure(request: Request) -> None:
    """Returns when the client disconnects; with the body read, no other message can arrive."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
