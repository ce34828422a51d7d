"""The asynchronous client, for asyncio or trio: `synchronous.Client` with `await`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TypeVar, Unpack

import anyio

from maskmend.client import calls
from maskmend.client.answers import Converted, Fills, Mask, Models, Picture
from maskmend.client.calls import Call, Source
from maskmend.client.connection import (
    ADDRESS,
    PATIENCE,
    RetryState,
    answer_of,
    cut_off,
    httpx2,
    settings,
    unreachable,
)
from maskmend.client.errors import NoAnswer, Unavailable, error_from
from maskmend.client.events import Event, EventReader
from maskmend.client.parameters import FillParameters, Format, MaskParameters
from maskmend.client.retries import Retries

T = TypeVar("T")


class AsyncClient:
    """An asynchronous client; use it as an asynchronous context manager, or `close` it.

    Args:
        url: the server's address.
        token: the server's `--token`.
        timeout: a request fails after this many seconds without receiving data.
        retries: retry policy for a busy server.
        transport: an httpx2 transport to use instead of the network.
        sleep: called to wait for a number of seconds.

    Every method raises `ServerError`: a subclass for each error status (`errors`), `NoAnswer` if no server
    responds, `UnexpectedAnswer` if it is another program. ConfigError for files that cannot be read.
    """

    def __init__(
        self,
        url: str = ADDRESS,
        *,
        token: str | None = None,
        timeout: float = PATIENCE,
        retries: Retries | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._http = httpx2.AsyncClient(**settings(url, token, timeout), transport=transport)
        self._retries, self._sleep = retries or Retries(), sleep

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def inpaint(
        self,
        image: Source,
        mask: Source | None = None,
        *,
        guide: Source | None = None,
        **parameters: Unpack[FillParameters],
    ) -> Picture:
        """The best fill of the hole.

        Args:
            image: the picture's file, as bytes or a path.
            mask: likewise; white or transparent is filled. Optional with `extend`.
            guide: likewise; colours that guide the fill, transparent where nothing is painted.
            parameters: those of `FillParameters`.
        """
        return await self._send(calls.inpaint(image, mask, guide, parameters))

    async def inpaint_all(
        self,
        image: Source,
        mask: Source | None = None,
        *,
        guide: Source | None = None,
        **parameters: Unpack[FillParameters],
    ) -> Fills:
        """All fills (`samples`) with uncertainty, settings and likelihoods; arguments as for `inpaint`."""
        return await self._send(calls.inpaint_all(image, mask, guide, parameters))

    async def stream(
        self,
        image: Source,
        mask: Source | None = None,
        *,
        guide: Source | None = None,
        **parameters: Unpack[FillParameters],
    ) -> AsyncIterator[Event]:
        """Yields the events of a fill as they arrive, `Done` last; arguments as for `inpaint`.

        Closing the generator, or not reading it to its end, cancels the fill.
        """
        call, state = calls.stream(image, mask, guide, parameters), RetryState(self._retries)
        while True:
            try:
                async with self._http.stream(call.method, call.path, **call.options()) as response:
                    if response.status_code == 200:
                        async for event in self._events(response):
                            yield event
                        return
                    content = await response.aread()
                    pause = state.pause(response.status_code, response.headers)
            except httpx2.HTTPError as error:
                raise unreachable(self._http.base_url, error) from error
            if pause is None:
                raise error_from(response.status_code, content)
            await self._sleep(pause)

    async def convert(
        self, image: Source, *, format: Format = "png", quality: int | None = None, convert: bool = False
    ) -> Converted:
        """The picture in another format: PNG, JPEG or WebP.

        Args:
            quality: of JPEG and WebP, 1 to 100; by default, WebP is lossless.
            convert: accept 16 bits per channel, CMYK and animations, which are refused otherwise.
        """
        return await self._send(
            calls.convert(image, {"format": format, "quality": quality, "convert": convert})
        )

    async def mask(
        self, mask: Source, *, width: int, height: int, **parameters: Unpack[MaskParameters]
    ) -> Mask:
        """The mask as a fill would read it, for a picture of `width` x `height`."""
        return await self._send(calls.read_mask(mask, {"width": width, "height": height, **parameters}))

    async def iopaint(self, image: Source, mask: Source, *, sd_seed: int = 42) -> Picture:
        """A fill by IOPaint's route; a seed of -1 is random."""
        return await self._send(calls.iopaint(image, mask, sd_seed))

    async def models(self) -> Models:
        """The models with their defaults, the server's limits, and the values of enumerated settings."""
        return await self._send(calls.models())

    async def alive(self) -> bool:
        """Whether the server process is alive. Raises NoAnswer if no server is listening."""
        return await self._send(calls.alive()) == "alive"

    async def ready(self) -> bool:
        """Whether the server accepts fills: false while the model is loading, and without a server. Does not
        wait."""
        try:
            return await self._send(calls.ready(), Retries(most=0)) == "ready"
        except (Unavailable, NoAnswer):
            return False

    async def metrics(self) -> str:
        """Metrics in Prometheus' text format."""
        return await self._send(calls.metrics())

    async def _send(self, call: Call[T], retries: Retries | None = None) -> T:
        state = RetryState(retries or self._retries)
        while True:
            try:
                response = await self._http.request(call.method, call.path, **call.options())
            except httpx2.HTTPError as error:
                raise unreachable(self._http.base_url, error) from error
            pause = state.pause(response.status_code, response.headers)
            if pause is None:
                return answer_of(call, response.status_code, response.headers, response.content)
            await self._sleep(pause)

    async def _events(self, response: httpx2.Response) -> AsyncIterator[Event]:
        reader = EventReader()
        async for content in response.aiter_bytes():
            for event in reader.feed(content):
                yield event
        if not reader.done:
            raise cut_off()
