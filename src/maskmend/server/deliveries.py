"""Deliveries: responses that are complete but not yet fully received by their clients.

A queue slot is released as soon as the fill is computed, so clients that do not read hold no slot. This
module limits the memory that such clients can occupy. A response is sent in pieces, and each has to be
received within `UNREAD` seconds. The total size of all unread responses is limited; when it is exceeded, the
slowest response older than `SETTLED` is cut off.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

LOG = logging.getLogger("maskmend.server")

PIECE = 64 * 1024
"""Bytes sent at a time: about the size of uvicorn's own write buffer per connection."""
UNREAD = 30.0
"""Seconds within which a client must accept the next piece."""
SETTLED = 5.0
"""Responses younger than this many seconds are never cut off: their transfer speed is not known yet."""


class Deliveries:
    """All pending responses, at most `most` bytes in total. Not thread-safe: use in the event loop only."""

    def __init__(self, most: int, cut_off: Callable[[], None]) -> None:
        self.most, self.cut_off = most, cut_off
        self.under_way: list[Delivery] = []

    def begin(self, until: float) -> "Delivery":
        """Adds a response that must be received by `until` (in the event loop's time)."""
        return Delivery(self, until)

    @property
    def size(self) -> int:
        """Total size in bytes of all pending responses."""
        return sum(delivery.size for delivery in self.under_way)


class Delivery:
    """One pending response."""

    def __init__(self, deliveries: Deliveries, until: float) -> None:
        self.deliveries, self.until = deliveries, until
        self.size = self.sent = 0
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._timeout: asyncio.Timeout | None = None
        self._displaced = False

    @property
    def age(self) -> float:
        """Seconds since the response was complete."""
        return self._loop.time() - self._since

    def weigh(self, size: int) -> None:
        """Registers the complete response with its size in bytes, and cuts others off if memory is short."""
        self._since, self.size, self.sent = self._loop.time(), size, 0
        deliveries = self.deliveries
        deliveries.under_way.append(self)
        while deliveries.size > deliveries.most:
            others = [one for one in deliveries.under_way if one is not self and one.age >= SETTLED]
            if not others:
                return  # all others are only seconds old
            min(others, key=lambda one: one.sent / one.age)._make_way()

    async def deliver(self, answer: Awaitable[None]) -> bool:
        """Awaits `answer`, which sends by `through`; False if it was cut off for a slow client."""
        try:
            async with asyncio.timeout_at(self.until) as self._timeout:
                await answer
        except TimeoutError:
            LOG.warning("a client did not read its response in time: it is cut off")
            return False
        finally:
            self._leave()
        return True

    def through(self, send: Send) -> Send:
        """Wraps `send` to send the body in pieces, each with its own timeout."""

        async def sending(message: Message) -> None:
            for piece in in_pieces(message):
                if message["type"] == "http.response.body":
                    self._until(min(self.until, self._loop.time() + UNREAD))
                await send(piece)
                self.sent += len(piece.get("body", b""))
            self._until(self.until)

        return sending

    def _make_way(self) -> None:
        self._until(self._loop.time())
        self._displaced = True
        self._leave()

    def _until(self, when: float) -> None:
        if self._timeout is not None and not self._timeout.expired() and not self._displaced:
            self._timeout.reschedule(when)

    def _leave(self) -> None:
        if self in self.deliveries.under_way:
            self.deliveries.under_way.remove(self)


def in_pieces(message: Message) -> Iterator[Message]:
    """A message with a long body as several; any other unchanged."""
    body = message.get("body", b"") if message["type"] == "http.response.body" else b""
    if len(body) <= PIECE:
        yield message
        return
    for start in range(0, len(body), PIECE):
        last = start + PIECE >= len(body)
        more = message.get("more_body", False) or not last
        yield {**message, "body": body[start : start + PIECE], "more_body": more}


class Delivered(Response):
    """A complete response that is sent from memory in pieces, within `seconds`."""

    def __init__(self, answer: Response, deliveries: Deliveries, seconds: float) -> None:
        self.answer, self.deliveries, self.seconds = answer, deliveries, seconds
        self.status_code, self.raw_headers, self.body = answer.status_code, answer.raw_headers, answer.body
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        delivery = self.deliveries.begin(asyncio.get_running_loop().time() + self.seconds)
        delivery.weigh(len(self.body))
        if not await delivery.deliver(self.answer(scope, receive, delivery.through(send))):
            self.deliveries.cut_off()
