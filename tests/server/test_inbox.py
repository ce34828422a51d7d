"""What waits between the threads that fill and a client that is slow to read; and threads that go on."""

import asyncio
import threading

import numpy as np
import pytest

from maskmend.server import inbox as inboxes
from maskmend.server.inbox import Inbox
from server_parts import Gated, app_of, client_of, form


def test_previews_that_nobody_reads_are_left_out(monkeypatch):
    """Catches megabytes of previews for each step that pile up for a client that does not read them."""
    monkeypatch.setattr(inboxes, "BACKLOG", 5 * 300)
    step = {"pictures": [np.zeros((10, 10, 3), np.uint8)]}

    async def work() -> list[str]:
        inbox = Inbox()
        inbox.put("started", {"batch": 1})
        for _ in range(9):
            inbox.put("step", step)
        inbox.put("level", {"picture": step["pictures"][0]})
        inbox.put("level", {"progress": 1})  # no picture, no weight
        inbox.put("filled", "result")
        await asyncio.sleep(0)
        read = [(await inbox.next(asyncio.get_running_loop().time() + 9))[0] for _ in range(8)]
        inbox.put("step", step)  # there is room again
        await asyncio.sleep(0)
        return [*read, (await inbox.next(asyncio.get_running_loop().time() + 9))[0]]

    assert asyncio.run(work()) == ["started", *["step"] * 5, "level", "filled", "step"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_thread_that_fills_outlives_whatever_a_fill_raises(tiny_pipeline, monkeypatch, error):
    """Catches a server that takes requests and has nobody left to fill them."""
    pipe = Gated(tiny_pipeline)
    pipe.gate.set()
    app = app_of(pipe)

    def broken(*_, **__):
        raise error

    with client_of(app) as client:
        with monkeypatch.context() as patched:
            patched.setattr(Gated, "__call__", broken)
            assert client.post("/v1/inpaint", files=form()).status_code == 503
        assert client.post("/v1/inpaint", files=form()).status_code == 200
        assert client.get("/readyz").status_code == 200
        app.state.service.workers.threads.append(threading.Thread())  # one that does not run
        assert client.get("/readyz").status_code == 503
        app.state.service.workers.threads.pop()
