"""Many at once: batches that change nothing, and places that are taken and refused."""

import http.client
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from fakes import smooth_pixels
from maskmend.pipeline import InpaintPipeline
from maskmend.server.settings import Limits
from raw_forms import multipart
from server_parts import (
    IMAGE_FILE,
    MASK,
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
                assert news.window == 1 or go_on.wait(PATIENCE)

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
