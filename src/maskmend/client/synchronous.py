"""The synchronous client."""

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


class Client:
    """A synchronous client; use it as a context manager, or `close` it.

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
            mask: likewise; white or transparent is filled. Optional with `extend`.
            guide: likewise; colours that guide the fill, transparent where nothing is painted.
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
        """All fills (`samples`) with uncertainty, settings and likelihoods; arguments as for `inpaint`."""
        return self._send(calls.inpaint_all(image, mask, guide, parameters))

    def stream(
        self,
        image: Source,
        mask: Source | None = None,
        *,
        guide: Source | None = None,
        **parameters: Unpack[FillParameters],
    ) -> Iterator[Event]:
        """Yields the events of a fill as they arrive, `Done` last; arguments as for `inpaint`.

        Closing the generator, or not reading it to its end, cancels the fill.
        """
        call, state = calls.stream(image, mask, guide, parameters), RetryState(self._retries)
        while True:
            try:
                with self._http.stream(call.method, call.path, **call.options()) as response:
                    if response.status_code == 200:
                        yield from self._events(response)
                        return
                    content = response.read()
                    pause = state.pause(response.status_code, response.headers)
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
            quality: of JPEG and WebP, 1 to 100; by default, WebP is lossless.
            convert: accept 16 bits per channel, CMYK and animations, which are refused otherwise.
        """
        return self._send(calls.convert(image, {"format": format, "quality": quality, "convert": convert}))

    def mask(self, mask: Source, *, width: int, height: int, **parameters: Unpack[MaskParameters]) -> Mask:
        """The mask as a fill would read it, for a picture of `width` x `height`."""
        return self._send(calls.read_mask(mask, {"width": width, "height": height, **parameters}))

    def iopaint(self, image: Source, mask: Source, *, sd_seed: int = 42) -> Picture:
        """A fill by IOPaint's route; a seed of -1 is random."""
        return self._send(calls.iopaint(image, mask, sd_seed))

    def models(self) -> Models:
        """The models with their defaults, the server's limits, and the values of enumerated settings."""
        return self._send(calls.models())

    def alive(self) -> bool:
        """Whether the server process is alive. Raises NoAnswer if no server is listening."""
        return self._send(calls.alive()) == "alive"

    def ready(self) -> bool:
        """Whether the server accepts fills: false while the model is loading, and without a server. Does not
        wait."""
        try:
            return self._send(calls.ready(), Retries(most=0)) == "ready"
        except (Unavailable, NoAnswer):
            return False

    def metrics(self) -> str:
        """Metrics in Prometheus' text format."""
        return self._send(calls.metrics())

    def _send(self, call: Call[T], retries: Retries | None = None) -> T:
        state = RetryState(retries or self._retries)
        while True:
            try:
                response = self._http.request(call.method, call.path, **call.options())
            except httpx2.HTTPError as error:
                raise unreachable(self._http.base_url, error) from error
            pause = state.pause(response.status_code, response.headers)
            if pause is None:
                return answer_of(call, response.status_code, response.headers, response.content)
            self._sleep(pause)

    def _events(self, response: httpx2.Response) -> Iterator[Event]:
        reader = EventReader()
        for content in response.iter_bytes():
            yield from reader.feed(content)
        if not reader.done:
            raise cut_off()
