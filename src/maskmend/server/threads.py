"""Worker threads for blocking work: decoding uploads, encoding results.

AnyIO's worker threads are not used for two reasons. A thread cannot be stopped when its request reaches the
time limit, and AnyIO's limiter no longer counts it then, so more pieces than allowed would run at once. And
they are not daemon threads, so the process could not exit while one is stuck.
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
    """`count` daemon threads, started on first use and ended by `close`."""

    def __init__(self, name: str, count: int) -> None:
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None]
        self._waiting = queue.SimpleQueue()
        self._began: dict[int, float] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"{name}-{number}", daemon=True)
            for number in range(1, count + 1)
        ]

    async def run(self, work: Callable[[], T]) -> T:
        """Runs `work` in a thread and returns its result; skips it if the caller is cancelled before."""
        for thread in self._threads:
            if thread.ident is None:
                thread.start()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put((work, done))
        return await done

    @property
    def busy_for(self) -> float:
        """Seconds since the oldest unfinished call of `work` began."""
        began = list(self._began.values())
        return time.monotonic() - min(began) if began else 0.0

    def close(self) -> None:
        """Ends the threads when they are idle, without waiting for them."""
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
            except BaseException as error:  # raised in the request instead
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
