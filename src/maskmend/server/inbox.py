"""Messages from the threads that fill to the request that waits in the event loop."""

import asyncio
import contextlib
from typing import Any

from maskmend.server.errors import ApiError, api_error_from

HEARTBEAT = 10.0
"""Seconds without an event after which a stream sends a heartbeat."""

BACKLOG = 32 * 2**20
"""Bytes of previews that may wait for one client."""


class Inbox:
    """Messages from worker threads to the event loop.

    Previews of a fill whose client is slow to read them are left out once `BACKLOG` bytes of them wait.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._waiting = 0

    def put(self, what: str, detail: Any) -> None:
        """Can be called from any thread, also after the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._put, what, detail)

    def _put(self, what: str, detail: Any) -> None:
        size = _preview_bytes(what, detail)
        if not size or self._waiting + size <= BACKLOG:
            self._waiting += size
            self._queue.put_nowait((what, detail))

    async def _next(self) -> tuple[str, Any]:
        news = await self._queue.get()
        self._waiting -= _preview_bytes(*news)
        return news

    async def get(self, leaving: asyncio.Task[None]) -> tuple[str, Any]:
        """The next message. Raises ApiError when the fill fails or the client disconnects first."""
        news = asyncio.create_task(self._next())
        try:
            await asyncio.wait({news, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not news.done():
                raise ApiError(499, "client_gone", "the client went away")
            return _unless_failed(news.result())
        finally:
            news.cancel()

    async def next(self, until: float) -> tuple[str, Any]:
        """The next message, or ("silence", None) after `HEARTBEAT` seconds.

        Raises TimeoutError at `until`, and ApiError.
        """
        left = until - self._loop.time()
        try:
            return _unless_failed(await asyncio.wait_for(self._next(), min(HEARTBEAT, max(left, 0))))
        except TimeoutError:
            if left <= HEARTBEAT:
                raise
            return "silence", None


def _preview_bytes(what: str, detail: Any) -> int:
    """The size of the pictures of a "step" or "level" message."""
    if what == "step":
        return sum(picture.nbytes for picture in detail["pictures"])
    return detail["picture"].nbytes if what == "level" and "picture" in detail else 0


def _unless_failed(news: tuple[str, Any]) -> tuple[str, Any]:
    if news[0] == "failed":
        raise api_error_from(news[1])
    return news
