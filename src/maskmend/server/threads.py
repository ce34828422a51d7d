"""A few threads for work that would hold up the event loop: decoding uploads, encoding results.

AnyIO's would do but for two things. Work whose request has reached its time limit goes on, as no thread can
be stopped, and AnyIO counts it no longer: the next piece would run beside it. And the process could not exit
before it is done. These threads take the next piece when they are done with the last one, and end with the
process.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """`count` threads, which start with the first piece of work and end with `close`."""

    def __init__(self, name: str, count: int) -> None:
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None]
        self._waiting = queue.SimpleQueue()
        self._began: dict[int, float] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"{name}-{number}", daemon=True)
            for number in range(1, count + 1)
        ]

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns. If the caller is cancelled before it has begun, it is left out."""
        for thread in self._threads:
            if thread.ident is None:
                thread.start()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put((work, done))
        return await done

    @property
    def busy_for(self) -> float:
        """Seconds that the oldest piece of work has taken so far."""
        began = list(self._began.values())
        return time.monotonic() - min(began) if began else 0.0

    def close(self) -> None:
        """Ends the threads once they are done; nobody waits for them."""
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self, number: int) -> None:
        while (item := self._waiting.get()) is not None:
            work, done = item
            if done.cancelled():
                continue
            self._began[number] = time.monotonic()
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:  # whatever it is, it belongs to the request
                failure = error
            del self._began[number]
            with suppress(RuntimeError):  # the loop has ended
                done.get_loop().call_soon_threadsafe(_settle, done, result, failure)
            del item, work, done, result, failure  # or a picture stays in memory until the next one comes


def _settle(done: "asyncio.Future[Any]", result: Any, failure: BaseException | None) -> None:
    if done.done():  # nobody waits for it any more
        return
    if failure is None:
        done.set_result(result)
    else:
        done.set_exception(failure if isinstance(failure, Exception) else RuntimeError(repr(failure)))
