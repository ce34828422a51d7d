"""Requests that nobody waits for any more, or that take too long, free what they hold."""

import errno
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.images.picture import picture_from
from maskmend.pipeline import InpaintPipeline
from maskmend.server.queue import Job
from maskmend.server.run import listen
from maskmend.server.service import GRACE
from maskmend.server.settings import Limits
from maskmend.server.workers import Abandoned, fill
from raw_forms import multipart
from server_parts import (
    MASK,
    PATIENCE,
    PIXELS,
    app_of,
    client_of,
    file_of,
    form,
    on_a_socket,
    pixels_of,
    until,
)


def test_the_finer_scales_of_a_wide_hole_end_when_nobody_waits(tiny_pipeline):
    """Catches a worker that draws hundreds of windows for a client that is gone."""
    gone, seen = threading.Event(), []

    class Leaving(InpaintPipeline):
        def __call__(self, *given, events, **more):
            def told(progress):
                seen.append(progress.windows)
                if progress.windows:
                    gone.set()
                events.on_level(progress)

            return super().__call__(*given, events=replace(events, on_level=told), **more)

    pipe = Leaving(*tiny_models(guesses=True))
    job = Job(
        picture=picture_from(smooth_pixels(90, 90)), mask=box_mask(90, 90, 10, 10, 80, 80), model="tiny",
        samples=1, seed=0, settings={"detail": "full"}, notify=lambda *_: None, gone=gone,
    )  # fmt: skip
    with pytest.raises(Abandoned):
        fill(pipe, [job], lambda *_: pytest.fail("finished"))
    assert seen[0] == 0 < seen[-1]
    assert len(seen) == 2


@pytest.mark.parametrize("accept", ["image/png", "text/event-stream"])
def test_who_is_refused_is_not_called_abandoned(tiny_pipeline, monkeypatch, accept):
    """Catches a count of those who left that grows while nobody does."""

    def failing(*_, **__):
        raise RuntimeError("out of memory, say")

    app = app_of(tiny_pipeline)
    alpha = file_of(np.dstack([PIXELS, PIXELS[:, :, 0]]))
    with client_of(app) as client:
        for files, data in (
            (form(image=alpha), {"format": "jpeg"}),
            (form(image=b"no picture"), {}),
            (form(), {"steps": 65}),
            (form(), {"steps": 2}),
        ):
            client.post("/v1/inpaint", files=files, data=data, headers={"Accept": accept})
        monkeypatch.setattr(InpaintPipeline, "__call__", failing)
        client.post("/v1/inpaint", files=form(), headers={"Accept": accept})
        assert "maskmend_abandoned_total 0.0" in client.get("/metrics").text


@pytest.mark.parametrize("accept", ["image/png", "text/event-stream"])
def test_a_fill_that_takes_too_long_is_given_up(gated, monkeypatch, loop_clock, accept):
    monkeypatch.setattr("maskmend.server.deliveries.UNREAD", 9e5)  # an event may still be on its way
    app = app_of(gated, limits=Limits(seconds=600.0, drain=5.0))
    with client_of(app) as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, "/v1/inpaint", files=form(), headers={"Accept": accept})
        assert gated.entered.wait(PATIENCE)
        loop_clock.forward(601)
        answer = asked.result(PATIENCE)
        told = answer.json() if accept == "image/png" else json.loads(answer.text.split("data: ")[-1])
        assert told["error"]["code"] == "too_slow"
        assert answer.status_code == (504 if accept == "image/png" else 200)
        assert app.state.service.queue.taken == 0
        assert "maskmend_abandoned_total 1.0" in app.state.service.metrics.text().decode()
        gated.gate.set()


@pytest.mark.parametrize("accept", ["image/png", "text/event-stream"])
def test_a_client_that_goes_away_frees_its_place(tiny_pipeline, gated, accept):
    """Catches places and fills that are kept for nobody."""
    app = app_of(gated, limits=Limits(places=2, drain=5.0))
    content, kind = multipart()
    with on_a_socket(app) as port:
        first = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        first.request("POST", "/v1/inpaint", content, {"Content-Type": kind, "Accept": accept})
        assert gated.entered.wait(PATIENCE)
        second = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        second.request("POST", "/v1/inpaint", content, {"Content-Type": kind, "Accept": accept})
        line = app.state.service.queue
        until(lambda: line.taken == 2 and line.waiting == 1)
        # The waiting one leaves first: it would begin if the server noticed the other's leaving before.
        for left, connection in ((1, second), (0, first)):
            assert connection.sock is not None
            connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
            until(lambda count=left: line.taken == count)
        gated.gate.set()
        third = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        third.request("POST", "/v1/inpaint", content, {"Content-Type": kind})
        answer = third.getresponse()
        alone = tiny_pipeline(PIXELS, MASK).pictures[0].pixels
        np.testing.assert_array_equal(pixels_of(answer.read()), alone)
        third.close()
        assert gated.batches == [1, 1]  # the second one was never begun
        text = app.state.service.metrics.text().decode()
        assert "maskmend_abandoned_total 2.0" in text


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/inpaint", "multipart/form-data; boundary=limit"),
        ("/v1/inpaint", "application/json"),
        ("/v1/convert", "multipart/form-data; boundary=limit"),
        ("/api/v1/inpaint", "application/json"),
    ],
)
def test_a_client_that_leaves_while_it_uploads_is_no_failure_of_ours(tiny_pipeline, caplog, path, kind):
    """Catches a traceback in the log, and a 503 in the metrics, for every interrupted upload."""
    app = app_of(tiny_pipeline)
    with on_a_socket(app) as port:
        with socket.create_connection(("127.0.0.1", port)) as leaving:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            leaving.sendall(head.encode() + b"Content-Length: 1000\r\n\r\n--limit\r\n")
            until(lambda: app.state.service.queue.arriving == 1)
        counted = f'maskmend_requests_total{{route="{path}",status="499"}} 1.0'
        until(lambda: counted in app.state.service.metrics.text().decode())
        assert "maskmend_abandoned_total 1.0" in app.state.service.metrics.text().decode()
        assert app.state.service.queue.taken == app.state.service.queue.arriving == 0
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@pytest.mark.slow
def test_a_client_that_never_reads_is_given_up_at_the_time_limit(tiny_pipeline, monkeypatch, loop_clock):
    """Catches an answer that is kept for as long as a client does not take what it asked for."""
    monkeypatch.setattr("maskmend.server.deliveries.UNREAD", 9e5)  # this limit is not what ends it
    app = app_of(tiny_pipeline, limits=Limits(silence=600.0, seconds=600.0, drain=5.0))
    # More than the buffers on its way can hold: a picture that cannot be packed, eight times
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    hole = np.zeros((700, 700), np.uint8)
    hole[300:316, 300:316] = 255
    content, kind = multipart(file_of(noise), file_of(hole), samples=8, steps=1)
    line = app.state.service.queue
    with on_a_socket(app) as port, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        head = f"POST /v1/inpaint HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        head += f"Accept: text/event-stream\r\nContent-Length: {len(content)}\r\n\r\n"
        deaf.sendall(head.encode() + content)
        until(lambda: len(app.state.service.deliveries.under_way) == 1)
        until(lambda: line.taken == 0)
        loop_clock.forward(600 + GRACE + 1)
        until(lambda: "maskmend_abandoned_total 1.0" in app.state.service.metrics.text().decode())


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
def test_what_nobody_takes_does_not_stay_in_memory():
    """Catches connections whose write buffer is kept for as long as a client does not read."""
    with listen("127.0.0.1", 0, patience=1.0) as listening, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(listening.getsockname())
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(PATIENCE)
            with pytest.raises(TimeoutError) as cut:
                connection.sendall(bytes(2**26))
            assert cut.value.errno == errno.ETIMEDOUT  # the kernel's word, not this test's patience


@pytest.mark.parametrize("accept", ["image/png", "application/json", "text/event-stream"])
def test_encoding_is_part_of_the_time_limit(tiny_pipeline, monkeypatch, loop_clock, accept):
    """Catches answers whose encoding may take as long as it likes."""
    monkeypatch.setattr("maskmend.server.deliveries.UNREAD", 9e5)  # an event may still be on its way
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_):
        begun.set()
        go_on.wait(PATIENCE)
        return b""

    for module in ("responses", "routes"):
        monkeypatch.setattr(f"maskmend.server.{module}.encoded", slow)
    app = app_of(tiny_pipeline, limits=Limits(seconds=600.0, drain=5.0))
    with client_of(app) as client, ThreadPoolExecutor(1) as pool:
        question = {"files": form(), "data": {"steps": 1}, "headers": {"Accept": accept}}
        asked = pool.submit(client.post, "/v1/inpaint", **question)
        assert begun.wait(PATIENCE)
        loop_clock.forward(601)
        answer = asked.result(PATIENCE)
        go_on.set()
        streamed = accept == "text/event-stream"
        told = json.loads(answer.text.split("data: ")[-1]) if streamed else answer.json()
        assert told["error"]["code"] == "too_slow"
        assert answer.status_code == (200 if streamed else 504)
        assert app.state.service.queue.taken == 0
        assert "maskmend_abandoned_total 1.0" in app.state.service.metrics.text().decode()
