"""Many at once: batches that change nothing, places that are freed, time limits, and an orderly end."""

import errno
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

import fuzz_run
from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.errors import ConfigError, ModelError
from maskmend.images.picture import picture_from
from maskmend.pipeline import InpaintPipeline
from maskmend.server.queue import Job
from maskmend.server.registry import Catalogue
from maskmend.server.run import listen
from maskmend.server.service import GRACE
from maskmend.server.settings import Limits
from maskmend.server.workers import Abandoned, fill
from server_parts import (
    IMAGE_FILE,
    MASK,
    MASK_FILE,
    PATIENCE,
    PIXELS,
    Gated,
    app_of,
    body,
    client_of,
    file_of,
    form,
    on_a_socket,
    pixels_of,
    until,
)


@pytest.fixture
def gated(tiny_pipeline):
    return Gated(tiny_pipeline)


def test_what_waits_is_filled_together_and_comes_out_as_if_alone(tiny_pipeline, gated):
    """Catches a batch that mixes up its rows, or a fill that depends on its neighbours."""
    app = app_of(gated)
    pictures = [smooth_pixels(20, 34, seed) for seed in range(5)]

    def ask(n, steps=4):
        return client.post("/v1/inpaint", files=form(file_of(pictures[n])), data={"seed": n, "steps": steps})

    with client_of(app) as client, ThreadPoolExecutor(6) as pool:
        first = pool.submit(ask, 0)
        gated.entered.wait(PATIENCE)
        others = [pool.submit(ask, n) for n in (1, 2, 3)]
        until(lambda: app.state.service.queue.waiting == 3)
        different = pool.submit(ask, 4, steps=2)
        until(lambda: app.state.service.queue.waiting == 4)
        gated.gate.set()
        answers = [one.result(PATIENCE) for one in (first, *others, different)]
        assert gated.batches == [1, 3, 1]
        for n, answer in enumerate(answers[:4]):
            alone = tiny_pipeline(pictures[n], MASK, seed=n, steps=4).pictures[0].pixels
            np.testing.assert_array_equal(pixels_of(answer.content), alone)
        alone = tiny_pipeline(pictures[4], MASK, seed=4, steps=2).pictures[0].pixels
        np.testing.assert_array_equal(pixels_of(answers[4].content), alone)


def test_a_hole_of_one_window_does_not_wait_for_one_of_many(tiny_pipeline):
    """Catches an answer that is held back until all of its batch are filled."""
    go_on = threading.Event()

    class Slow(Gated):
        def __call__(self, *given, events, **more):
            def told(news):
                events.on_preview(news)
                assert news.part == 1 or go_on.wait(PATIENCE)

            return super().__call__(*given, events=replace(events, on_preview=told), **more)

    pipe = Slow(tiny_pipeline)
    app = app_of(pipe)
    rows, columns = np.mgrid[0:60, 0:150]
    wide, scratch = smooth_pixels(60, 150), np.abs(rows - columns * 0.4) <= 1
    long = form(file_of(wide), file_of(scratch.astype(np.uint8) * 255))
    with client_of(app) as client, ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.post, "/v1/inpaint", files=form())
        pipe.entered.wait(PATIENCE)
        slow = pool.submit(client.post, "/v1/inpaint", files=long)
        until(lambda: app.state.service.queue.waiting == 1)
        quick = pool.submit(client.post, "/v1/inpaint", files=form())
        until(lambda: app.state.service.queue.waiting == 2)
        pipe.gate.set()
        alone = tiny_pipeline(PIXELS, MASK).pictures[0].pixels
        for answer in (first, quick):
            np.testing.assert_array_equal(pixels_of(answer.result(PATIENCE).content), alone)
        assert pipe.batches == [1, 2]
        assert not slow.done()
        go_on.set()
        alone = tiny_pipeline(wide, scratch).pictures[0].pixels
        np.testing.assert_array_equal(pixels_of(slow.result(PATIENCE).content), alone)


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
        samples=1, seed=0, settings={"detail": "full"}, tell=lambda *_: None, gone=gone,
    )  # fmt: skip
    with pytest.raises(Abandoned):
        fill(pipe, [job], lambda *_: pytest.fail("finished"))
    assert seen[0] == 0 < seen[-1]
    assert len(seen) == 2


def test_several_workers_give_the_same_fills(tiny_pipeline):
    """Catches workers that get in each other's way."""
    with client_of(app_of(tiny_pipeline, workers=3)) as client, ThreadPoolExecutor(6) as pool:
        wanted = {n: tiny_pipeline(PIXELS, MASK, seed=n).pictures[0].pixels for n in range(6)}
        asked = [
            (n % 6, pool.submit(client.post, "/v1/inpaint", files=form(), data={"seed": n % 6}))
            for n in range(24)
        ]
        for n, answer in asked:
            np.testing.assert_array_equal(pixels_of(answer.result(PATIENCE).content), wanted[n])


def test_one_bad_request_spoils_no_batch(tiny_pipeline, gated, monkeypatch):
    """Catches neighbours that fail because one does."""
    whole = InpaintPipeline.__call__

    def stumbling(self, image, *rest, **more):
        if any(picture.pixels[0, 0, 0] == 255 for picture in image):
            raise RuntimeError("out of memory, say")
        return whole(self, image, *rest, **more)

    monkeypatch.setattr(InpaintPipeline, "__call__", stumbling)
    app = app_of(gated)
    bad = PIXELS.copy()
    bad[0, 0] = 255
    with client_of(app) as client, ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.post, "/v1/inpaint", files=form())
        gated.entered.wait(PATIENCE)
        others = [
            pool.submit(client.post, "/v1/inpaint", files=form(file_of(p))) for p in (PIXELS, bad, PIXELS)
        ]
        until(lambda: app.state.service.queue.waiting == 3)
        gated.gate.set()
        answers = [one.result(PATIENCE) for one in (first, *others)]
    assert [answer.status_code for answer in answers] == [200, 200, 503, 200]
    assert answers[2].json()["error"]["code"] == "failed"
    assert "out of memory" not in answers[2].text  # the log's, not the client's


def test_more_than_there_are_places_for_are_turned_away(gated):
    app = app_of(gated, limits=Limits(places=2, drain=5.0))
    with client_of(app) as client, ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(client.post, "/v1/inpaint", files=form()) for _ in range(2)]
        until(lambda: app.state.service.queue.taken == 2)
        for path, question in (
            ("/v1/inpaint", {"files": form()}),
            ("/api/v1/inpaint", {"json": body()}),
            ("/v1/convert", {"files": {"image": ("a", IMAGE_FILE)}}),
        ):
            answer = client.post(path, **question)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "busy")
            assert int(answer.headers["retry-after"]) >= 1
        assert client.get("/healthz").status_code == 200
        gated.gate.set()
        assert [one.result(PATIENCE).status_code for one in taken] == [200, 200]
        assert client.post("/v1/inpaint", files=form()).status_code == 200


def test_large_pictures_wait_outside(gated):
    """Catches memory that is filled with the largest pictures, all within their own limit."""
    app = app_of(gated, limits=Limits(megapixels=0.0007, drain=5.0))
    with client_of(app) as client, ThreadPoolExecutor(4) as pool:
        taken = [pool.submit(client.post, "/v1/inpaint", files=form()) for _ in range(2)]
        until(lambda: app.state.service.queue._reserved_pixels == 2 * PIXELS[:, :, 0].size)
        assert client.post("/v1/inpaint", files=form()).status_code == 429
        gated.gate.set()
        assert {one.result(PATIENCE).status_code for one in taken} == {200}


def test_the_results_of_several_samples_weigh_too(gated):
    """Catches requests that are let in by their images, whose results are many times as large."""
    app = app_of(gated, limits=Limits(megapixels=0.0007, drain=5.0))
    with client_of(app) as client, ThreadPoolExecutor(1) as pool:
        taken = pool.submit(client.post, "/v1/inpaint", files=form(), data={"samples": 3})
        until(lambda: app.state.service.queue._reserved_pixels == 2 * PIXELS[:, :, 0].size)
        assert client.post("/v1/inpaint", files=form()).status_code == 429
        gated.gate.set()
        assert taken.result(PATIENCE).status_code == 200


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
def test_a_fill_that_takes_too_long_is_given_up(gated, loop_clock, accept):
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


def multipart(image=IMAGE_FILE, mask=MASK_FILE, **fields):
    """A form as bytes, and its content type."""
    content, headers = fuzz_run.multipart(image, mask, **{name: str(value) for name, value in fields.items()})
    return content, headers["Content-Type"]


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


def test_a_stream_brings_its_steps_before_the_fill_is_done(tiny_pipeline):
    """Catches events that are held back and come all at once."""
    seen, go_on = threading.Event(), threading.Event()

    class Slow(Gated):
        def __call__(self, *given, events, **more):
            def told(news):
                events.on_preview(news)
                if news.step.index == 1:
                    assert go_on.wait(PATIENCE)

            return super().__call__(*given, events=replace(events, on_preview=told), **more)

    pipe = Slow(tiny_pipeline)
    pipe.gate.set()
    content, kind = multipart()
    with on_a_socket(app_of(pipe)) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request(
            "POST", "/v1/inpaint", content, {"Content-Type": kind, "Accept": "text/event-stream"}
        )
        answer = connection.getresponse()
        names = []
        for line in answer:
            if line.startswith(b"event: "):
                names.append(line[7:].strip().decode())
                if names[-1] == "step" and not go_on.is_set():
                    seen.set()
                    go_on.set()
        assert seen.is_set()
        assert names[:3] == ["queued", "started", "step"]
        assert names[-1] == "done"
        connection.close()


# The process


PATIENT = ("--upload-silence", "900")


@contextmanager
def serving(model, folder, *options):
    """`maskmend serve` with the tiny model; gives the process and its port."""
    command = [sys.executable, "-m", "maskmend", "serve", "--port", "0", "--model", str(model), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
    )
    try:
        assert running.stdout is not None
        said = running.stdout.readline()
        assert said.startswith("the editor is at http://127.0.0.1:"), said
        yield running, int(said.split(":")[2].split("/")[0])
    finally:
        running.kill()
        running.communicate()


@pytest.fixture
def process(tiny_model, tmp_path):
    with serving(tiny_model, tmp_path, "--drain", "900", "--timeout", "900", *PATIENT) as running_and_port:
        yield running_and_port


def check_nothing_went_wrong(running):
    """The ended process has said what it loaded, and had nothing to complain about."""
    told, said = running.communicate()
    assert told == ""
    assert re.fullmatch(r"loading the model .*\n", said), said


@pytest.mark.slow
def test_told_to_stop_it_finishes_what_is_under_way(process):
    """Catches fills that are cut off by a restart, and a process that does not end."""
    running, port = process
    content, kind = multipart(steps=64, samples=8)

    def get(path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    until(lambda: get("/readyz") == 200)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Content-Type": kind, "Accept": "text/event-stream"}
    connection.request("POST", "/v1/inpaint", content, headers)
    answer = connection.getresponse()
    lines = iter(answer)
    while not next(lines).startswith(b"event: step"):
        pass
    running.send_signal(signal.SIGTERM)
    rest = b"".join(lines)
    connection.close()
    assert rest.count(b"event: fill\n") == 8
    assert b"event: done\n" in rest
    assert running.wait(PATIENCE) == 0
    with pytest.raises(OSError, match="refused"):
        get("/healthz")
    check_nothing_went_wrong(running)


def half_sent(port, content, kind, accept="image/png"):
    """A connection on which half of a request for a fill has come in."""
    wire = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    head = f"POST /v1/inpaint HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nAccept: {accept}\r\n"
    wire.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[: len(content) // 2])

    def arriving():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
        connection.close()
        return b"maskmend_uploads 1.0" in text

    until(arriving)
    return wire


def all_of(wire):
    return b"".join(iter(lambda: wire.recv(65536), b""))


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["image/png", "text/event-stream"])
def test_told_to_stop_it_fills_what_is_still_coming_in(process, accept):
    """Catches workers that go home while a picture is on its way, which nobody then fills."""
    running, port = process
    content, kind = multipart(steps=1)
    with half_sent(port, content, kind, accept) as wire:
        running.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.3)
        wire.sendall(content[len(content) // 2 :])
        answer = all_of(wire)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert (b"event: done\n" if accept == "text/event-stream" else b"\x89PNG") in answer
    assert running.wait(PATIENCE) == 0
    check_nothing_went_wrong(running)


@pytest.mark.slow
def test_what_does_not_come_in_before_the_end_is_told_so_in_json(tiny_model, tmp_path):
    """Catches a 500 in plain text, and a traceback in the log, for whoever is not done in the drain time."""
    content, kind = multipart()
    with serving(tiny_model, tmp_path, "--drain", "1", *PATIENT) as (running, port):
        with half_sent(port, content, kind) as wire:
            running.send_signal(signal.SIGTERM)
            head, _, told = all_of(wire).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(told)["error"]["code"] == "stopping"
        assert running.wait(PATIENCE) == 0
        said, complained = running.communicate()
        assert said == ""
        assert "Traceback" not in complained


def test_a_stream_that_is_cut_off_by_the_end_says_so_last(gated):
    """Catches a stream that just ends when the drain time is over."""
    content, kind = multipart()
    app = app_of(gated, limits=Limits(drain=1.0))
    with on_a_socket(app) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        headers = {"Content-Type": kind, "Accept": "text/event-stream"}
        connection.request("POST", "/v1/inpaint", content, headers)
        answer = connection.getresponse()
        assert gated.entered.wait(PATIENCE)
    gated.gate.set()
    app.state.service.workers.join(PATIENCE)
    *_, name, data = answer.read().strip().split(b"\n")
    connection.close()
    assert name == b"event: error"
    assert json.loads(data.removeprefix(b"data: "))["error"]["code"] == "stopping"


# Models


def test_models_are_found_at_the_start_and_loaded_when_asked_for(tiny_pipeline, tmp_path):
    folders = [tmp_path / name / "one" for name in "ab"] + [tmp_path / "two"]
    for folder in folders:
        tiny_pipeline.save_pretrained(folder)
    catalogue = Catalogue.open([str(folders[0]), str(folders[2])], "cpu")
    assert list(catalogue.entries) == ["one", "two"]
    assert catalogue.default == "one"
    assert [entry.about()["loaded"] for entry in catalogue.entries.values()] == [False, False]
    assert catalogue.entry("two").loaded() is catalogue.entry("two").loaded()
    assert [entry.about()["loaded"] for entry in catalogue.entries.values()] == [False, True]
    assert str(tmp_path) not in json.dumps(catalogue.entry("two").about())
    with pytest.raises(ConfigError, match="two models are called 'one'"):
        Catalogue.open([str(folders[0]), str(folders[1])], "cpu")
    with pytest.raises(ModelError, match="no model"):
        Catalogue.open([str(tmp_path / "three")], "cpu")


def test_a_model_that_cannot_be_loaded_is_no_500(tiny_pipeline, tmp_path):
    """Catches a damaged model that takes the server down, or that is reported as ready."""
    from starlette.testclient import TestClient

    from maskmend.server.app import create_app
    from maskmend.server.settings import ServeConfig

    tiny_pipeline.save_pretrained(tmp_path / "model")
    catalogue = Catalogue.open([str(tmp_path / "model")], "cpu")
    (tmp_path / "model" / "tokenizer" / "weights.safetensors").write_bytes(b"damaged")
    app = create_app(ServeConfig(limits=Limits(drain=5.0)), catalogue)
    with TestClient(app, base_url="http://localhost") as client:
        until(lambda: app.state.service.trouble)
        unready = client.get("/readyz")
        assert unready.status_code == 503
        assert str(tmp_path) not in unready.text  # anybody may ask
        answer = client.post("/v1/inpaint", files=form())
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
        assert str(tmp_path) not in answer.text
