"""A server around the tiny pipeline, in memory; and on a socket, with a browser before it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import pytest
from starlette.testclient import TestClient

from browser_parts import Editor, launched
from maskmend.pipeline import InpaintPipeline
from server_parts import Gated, app_of, client_of, on_a_socket, until


@pytest.fixture(scope="module")
def client(tiny_pipeline: InpaintPipeline) -> Iterator[TestClient]:
    with client_of(app_of(tiny_pipeline)) as client:
        yield client


class LoopClock:
    """The time of event loops, which a test puts forward."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds by which it is ahead. A loop notices when next it has something to do."""
        self.loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()

    def forward(self, seconds: float) -> None:
        """From another thread: lets what is under way in the loops end its step, puts their time forward, and
        waits until they have begun what is due."""
        self._pass()
        self.ahead += seconds
        self._pass()

    def _pass(self) -> None:
        for loop in [loop for loop in list(self.loops) if loop.is_running()]:
            passed = threading.Event()
            with suppress(RuntimeError):  # it has been closed
                loop.call_soon_threadsafe(passed.set)
            until(lambda passed=passed, loop=loop: passed.is_set() or not loop.is_running())


@pytest.fixture
def loop_clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    """Time limits of the server end where a test says so, on however slow a machine; for loops of asyncio."""
    clock, real = LoopClock(), asyncio.BaseEventLoop.time

    def time(loop: asyncio.BaseEventLoop) -> float:
        clock.loops.add(loop)
        return real(loop) + clock.ahead

    monkeypatch.setattr(asyncio.BaseEventLoop, "time", time)
    return clock


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def recorded(tiny_pipeline: InpaintPipeline) -> Iterator[tuple[Gated, str]]:
    """(a pipeline that remembers what it was asked for, where its editor is)"""
    pipe = Gated(tiny_pipeline)
    pipe.gate.set()
    with on_a_socket(app_of(pipe)) as port:
        yield pipe, f"http://127.0.0.1:{port}/"


@pytest.fixture
def editor(browser: Any, recorded: tuple[Gated, str]) -> Iterator[Editor]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    editor = Editor(context, recorded[1])
    yield editor
    context.close()
    assert editor.complaints == []
