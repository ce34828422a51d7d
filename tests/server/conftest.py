"""A server around the tiny pipeline, in memory; and on a socket, with a browser before it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from browser_parts import Editor, launched
from maskmend.pipeline import InpaintPipeline
from server_parts import Gated, app_of, client_of, on_a_socket


@pytest.fixture(scope="module")
def client(tiny_pipeline: InpaintPipeline) -> Iterator[TestClient]:
    with client_of(app_of(tiny_pipeline)) as client:
        yield client


class LoopClock:
    """Seconds by which the time of event loops is ahead. A loop notices when next it has something to do."""

    ahead = 0.0


@pytest.fixture
def loop_clock(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    """Time limits of the server end where a test says so, on however busy a machine; for loops of asyncio."""
    clock, passed = LoopClock(), asyncio.BaseEventLoop.time
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda loop: passed(loop) + clock.ahead)
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
