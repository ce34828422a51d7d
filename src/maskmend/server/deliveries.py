"""Answers under way: made already, and not yet taken by the clients that asked for them.

A slot in the queue is for what is worked on: it is released as soon as a fill is made, so that clients
which do not read hold none. What they leave is bounded here. An answer is sent in pieces, each of which has
to be taken within `UNREAD` seconds. All answers that wait to be taken may hold so many bytes together; when
there are more, the slowest one older than `SETTLED` is cut off, for memory is needed by those who do read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

LOG = logging.getLogger("maskmend.server")

PIECE = 64 * 1024
"""Bytes sent at a time: about what the web server itself keeps for a client before it waits."""
UNREAD = 30.0
"""Seconds for a client to make room for the next piece."""
SETTLED = 5.0
"""Seconds for which an answer makes way for nobody: how fast it is taken cannot be told yet."""


class Deliveries:
    """All answers under way, of `most` bytes together. For the event loop only; it is not thread-safe."""

    def __init__(self, most: int, cut_off: Callable[[], None]) -> None:
        self.most, self.cut_off = most, cut_off
        self.under_way: list[Delivery] = []

    def begin(self, until: float) -> "Delivery":
        """One more answer, which has to be taken by the loop's time `until`."""
        return Delivery(self, until)

    @property
    def size(self) -> int:
        """Bytes of all answers that are made and not yet taken."""
        return sum(delivery.size for delivery in self.under_way)


class Delivery:
    """One answer on its way."""

    def __init__(self, deliveries: Deliveries, until: float) -> None:
        self.deliveries, self.until = deliveries, until
        self.size = self.sent = 0
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._timeout: asyncio.Timeout | None = None
        self._displaced = False

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return self._loop.time() - self._since

    def weigh(self, size: int) -> None:
        """Says that the answer is made and holds `size` bytes; makes room where there is too little."""
        self._since, self.size, self.sent = self._loop.time(), size, 0
        deliveries = self.deliveries
        deliveries.under_way.append(self)
        while deliveries.size > deliveries.most:
            others = [one for one in deliveries.under_way if one is not self and one.age >= SETTLED]
            if not others:
                return  # all are young: what they hold was made within seconds
            min(others, key=lambda one: one.sent / one.age)._make_way()

    async def deliver(self, answer: Awaitable[None]) -> bool:
        """Awaits `answer`, which sends by `through`; False when it was cut off as its client is too slow."""
        try:
            async with asyncio.timeout_at(self.until) as self._timeout:
                await answer
        except TimeoutError:
            LOG.warning("a client did not take its answer in time: it is cut off")
            return False
        finally:
            self._leave()
        return True

    def through(self, send: Send) -> Send:
        """`send` in pieces, each within its time."""

        async def sending(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            body, more = message.get("body", b""), message.get("more_body", False)
            for start in range(0, max(1, len(body)), PIECE):
                piece, last = body[start : start + PIECE], start + PIECE >= len(body)
                self._until(min(self.until, self._loop.time() + UNREAD))
                await send({**message, "body": piece, "more_body": more or not last})
                self.sent += len(piece)
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


class Delivered(Response):
    """A whole answer, taken from memory piece by piece within `seconds`."""

    def __init__(self, answer: Response, deliveries: Deliveries, seconds: float) -> None:
        self.answer, self.deliveries, self.seconds = answer, deliveries, seconds
        self.status_code, self.raw_headers, self.body = answer.status_code, answer.raw_headers, answer.body
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        delivery = self.deliveries.begin(asyncio.get_running_loop().time() + self.seconds)
        delivery.weigh(len(self.body))
        if not await delivery.deliver(self.answer(scope, receive, delivery.through(send))):
            self.deliveries.cut_off()
