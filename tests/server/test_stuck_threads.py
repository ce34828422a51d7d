"""Work in threads: what is not waited for any more still counts, and keeps nothing alive."""

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from maskmend.server.settings import Limits
from maskmend.server.threads import Threads
from server_parts import PATIENCE, app_of, client_of, form, until


def test_abandoned_work_keeps_its_thread():
    """Catches a second picture that is decoded beside the one whose request has reached its time limit."""
    gate = threading.Event()
    begun: list[tuple[str, int]] = []

    def begin(name: str) -> None:
        begun.append((name, threading.get_ident()))

    async def work() -> None:
        threads = Threads("test", 1)

        def stuck() -> None:
            begin("first")
            gate.wait(PATIENCE)

        first = asyncio.create_task(threads.run(stuck))
        while not begun:
            await asyncio.sleep(0.01)
        first.cancel()
        left_out = asyncio.create_task(threads.run(lambda: begin("left out")))
        second = asyncio.create_task(threads.run(lambda: begin("second")))
        await asyncio.sleep(0)  # both are waiting for a thread
        left_out.cancel()
        assert threads.busy_for > 0
        gate.set()
        await second
        assert threads.busy_for == 0
        threads.close()

    asyncio.run(work())
    (first, its_thread), (second, other_thread) = begun
    assert (first, second) == ("first", "second")
    assert other_thread == its_thread  # so it came after the first, whenever that was


def test_results_and_errors_come_back():
    async def work() -> None:
        threads = Threads("test", 2)
        assert await asyncio.gather(*(threads.run(lambda n=n: n * n) for n in range(9))) == [
            n * n for n in range(9)
        ]
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="SystemExit"):
            await threads.run(sys.exit)
        assert await threads.run(lambda: "still there") == "still there"
        threads.close()

    asyncio.run(work())


def test_a_process_ends_while_a_thread_is_stuck():
    """Catches a server that cannot be stopped because a picture takes an hour to decode."""
    program = (
        "import asyncio, threading\nfrom maskmend.server.threads import Threads\n"
        "begun, never = threading.Event(), threading.Event()\n"
        "def stuck():\n    begun.set()\n    never.wait()\n"
        "async def work():\n"
        "    stuck_request = asyncio.create_task(Threads('test', 1).run(stuck))\n"
        "    await asyncio.to_thread(begun.wait)\n"
        "    stuck_request.cancel()\n"
        "asyncio.run(work())\n"
        "print('over')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert (ran.returncode, ran.stdout) == (0, "over\n"), ran.stderr


def test_a_server_whose_decoder_is_stuck_says_that_it_is_not_ready(tiny_pipeline, monkeypatch, loop_clock):
    """Catches a replica that is sent requests though it can answer none."""
    app = app_of(tiny_pipeline, limits=Limits(seconds=600.0, drain=1.0))
    begun, gate = threading.Event(), threading.Event()

    def stuck(*_, **__):
        begun.set()
        gate.wait(PATIENCE)

    monkeypatch.setattr("maskmend.server.requests.read_image", stuck)
    ahead = SimpleNamespace(monotonic=lambda: time.monotonic() + loop_clock.ahead)
    monkeypatch.setattr("maskmend.server.threads.time", ahead)
    with client_of(app) as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, "/v1/convert", files={"image": form()["image"]})
        assert begun.wait(PATIENCE)
        assert client.get("/readyz").status_code == 200
        loop_clock.forward(601)
        assert asked.result(PATIENCE).status_code == 504
        until(lambda: client.get("/readyz").status_code == 503)
        assert "decoding" in client.get("/readyz").json()["error"]["message"]
        assert client.get("/healthz").status_code == 200
        gate.set()
        until(lambda: client.get("/readyz").status_code == 200)
