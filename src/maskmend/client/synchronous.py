"""The client for ordinary programs."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar, Unpack

from maskmend.client import calls
from maskmend.client.answers import Converted, Fills, Mask, Models, Picture
from maskmend.client.calls import Call, Source
from maskmend.client.connection import (
    ADDRESS,
    PATIENCE,
    Patience,
    answer_of,
    cut_off,
    httpx2,
    settings,
    unreachable,
)
from maskmend.client.errors import Unavailable, error_from
from maskmend.client.events import Event, EventReader
from maskmend.client.parameters import FillParameters, Format, MaskParameters
from maskmend.client.retries import Retries

T = TypeVar("T")


class Client:
    """Talks to a server; use it as a context manager, or `close` it.

    Args:
        url: the server's address.
        token: what it was started with as `--token`.
        timeout: seconds without a byte after which a request is given up.
        retries: how often a request is sent again to a busy server.
        transport: of httpx2, in the place of the network.
        sleep: waits so many seconds.

    Every method raises `ServerError`: a subclass for each refusal (`errors`), `NoAnswer` where there is no
    server, `UnexpectedAnswer` where it is another program. ConfigError for files that cannot be read.
    """

    def __init__(
        self,
        url: str = ADDRESS,
        *,
        token: str | None = None,
        timeout: float = PATIENCE,
        retries: Retries | None = None,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = httpx2.Client(**settings(url, token, timeout), transport=transport)
        self._retries, self._sleep = retries or Retries(), sleep

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def inpaint(
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
            mask: likewise; white, or erased, is filled. May be left out with `extend`.
            guide: likewise; colours to draw from, transparent where nothing is painted.
            parameters: those of `FillParameters`.
        """
        return self._send(calls.inpaint(image, mask, guide, parameters))

    def inpaint_all(
        self,
        image: Source,
        mask: Source | None = None,
        *,
        guide: Source | None = None,
        **parameters: Unpack[FillParameters],
    ) -> Fills:
        """All fills (`samples`) with uncertainty, settings and likelihoods; arguments as of `inpaint`."""
        return self._send(calls.inpaint_all(image, mask, guide, parameters))

    def stream(
        self,
        image: Source,
        mask: Source | None = None,
        *,
        guide: Source | None = None,
        **parameters: Unpack[FillParameters],
    ) -> Iterator[Event]:
        """The events of a fill as they come, the last of them `Done`; arguments as of `inpaint`.

        A generator that is closed, or not read to its end, cancels the fill.
        """
        call, patience = calls.stream(image, mask, guide, parameters), Patience(self._retries)
        while True:
            try:
                with self._http.stream(call.method, call.path, **call.options()) as response:
                    if response.status_code == 200:
                        yield from self._events(response)
                        return
                    content = response.read()
                    pause = patience.pause(response.status_code, response.headers)
            except httpx2.HTTPError as error:
                raise unreachable(self._http.base_url, error) from error
            if pause is None:
                raise error_from(response.status_code, content)
            self._sleep(pause)

    def convert(
        self, image: Source, *, format: Format = "png", quality: int | None = None, convert: bool = False
    ) -> Converted:
        """The picture in another format: PNG, JPEG or WebP.

        Args:
            quality: of JPEG and WebP, 1 to 100; left out, WebP loses nothing.
            convert: take 16 bits a channel, CMYK and animations, which are refused otherwise.
        """
        return self._send(calls.convert(image, {"format": format, "quality": quality, "convert": convert}))

    def mask(self, mask: Source, *, width: int, height: int, **parameters: Unpack[MaskParameters]) -> Mask:
        """The mask as a fill would read it, for a picture of `width` x `height`."""
        return self._send(calls.read_mask(mask, {"width": width, "height": height, **parameters}))

    def iopaint(self, image: Source, mask: Source, *, sd_seed: int = 42) -> Picture:
        """A fill by IOPaint's route; -1 is a random seed."""
        return self._send(calls.iopaint(image, mask, sd_seed))

    def models(self) -> Models:
        """Models with their defaults, the server's limits, and what settings of few values can be."""
        return self._send(calls.models())

    def alive(self) -> bool:
        """Whether the server's process is alive. Raises NoAnswer where nobody listens."""
        return self._send(calls.alive()) == "alive"

    def ready(self) -> bool:
        """Whether fills are taken; not while the model is loaded. Does not wait."""
        try:
            return self._send(calls.ready(), Retries(most=0)) == "ready"
        except Unavailable:
            return False

    def metrics(self) -> str:
        """Counters in Prometheus' text format."""
        return self._send(calls.metrics())

    def _send(self, call: Call[T], retries: Retries | None = None) -> T:
        patience = Patience(retries or self._retries)
        while True:
            try:
                response = self._http.request(call.method, call.path, **call.options())
            except httpx2.HTTPError as error:
                raise unreachable(self._http.base_url, error) from error
            pause = patience.pause(response.status_code, response.headers)
            if pause is None:
                return answer_of(call, response.status_code, response.headers, response.content)
            self._sleep(pause)

    def _events(self, response: httpx2.Response) -> Iterator[Event]:
        reader = EventReader()
        for content in response.iter_bytes():
            yield from reader.feed(content)
        if not reader.done:
            raise cut_off()
