"""A server around the tiny pipeline, in memory; and on a socket, with a browser before it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from PIL import Image
from starlette.testclient import TestClient

from browser_parts import Editor, launched
from fakes import smooth_pixels
from maskmend.pipeline import InpaintPipeline
from maskmend.server.queue import JobQueue
from server_parts import MASK, PIXELS, Gated, app_of, client_of, on_a_socket, until


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


@pytest.fixture(scope="module")
def url(recorded: tuple[Gated, str]) -> str:
    """Where the editor is."""
    return recorded[1]


@pytest.fixture
def editor(browser: Any, recorded: tuple[Gated, str]) -> Iterator[Editor]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    editor = Editor(context, recorded[1])
    yield editor
    context.close()
    assert editor.complaints == []
    assert [one for one in editor.requests if not one.startswith((recorded[1], "blob:", "data:"))] == []


@pytest.fixture
def gated_editor(browser: Any, tiny_pipeline: InpaintPipeline) -> Iterator[tuple[Editor, Gated, JobQueue]]:
    """(the editor, the pipeline that fills only while its gate is open, its server's queue)"""
    pipe = Gated(tiny_pipeline)
    pipe.gate.set()
    app = app_of(pipe)
    with on_a_socket(app) as port:
        # Its content security policy would keep out the tests' own scripts.
        context = browser.new_context(viewport={"width": 1200, "height": 800}, bypass_csp=True)
        editor = Editor(context, f"http://127.0.0.1:{port}/")
        yield editor, pipe, app.state.service.queue
        pipe.gate.set()
        context.close()
    assert editor.complaints == []


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A picture of another size than the samples, as a file."""
    Image.fromarray(smooth_pixels(40, 50)).save(tmp_path / "other.png")
    return tmp_path / "other.png"


@pytest.fixture(scope="module")
def alone(tiny_pipeline: InpaintPipeline) -> Any:
    """What the pipeline gives by itself."""
    return tiny_pipeline(PIXELS, MASK, samples=3, seed=5, steps=4)


@pytest.fixture
def gated(tiny_pipeline: InpaintPipeline) -> Gated:
    return Gated(tiny_pipeline)
