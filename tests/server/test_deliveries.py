"""Answers that nobody reads: what they may hold, and for how long."""

import asyncio
import http.client
import socket
import threading
import tracemalloc
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import pytest
from starlette.responses import Response

import fuzz_run
from maskmend.server.deliveries import PIECE, SETTLED, UNREAD, Deliveries, in_pieces
from maskmend.server.run import Protocol, listen
from maskmend.server.settings import Limits
from server_parts import MASK, PATIENCE, PIXELS, app_of, file_of, on_a_socket, pixels_of, until
from test_uploads import asked, json_fill, rest_of

SIDE = 700
NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
"""It cannot be packed: 1.4 MiB as PNG."""


def fill_of_noise(samples: int) -> tuple[bytes, dict[str, str]]:
    hole = np.zeros((SIDE, SIDE), np.uint8)
    hole[300:316, 300:316] = 255
    return fuzz_run.multipart(file_of(NOISE), file_of(hole), samples=str(samples), steps="1")


def deaf(stack: ExitStack, port: int, path: str, accept: str, content: bytes, headers: dict) -> socket.socket:
    """A client that sends a request and does not read."""
    wire = stack.enter_context(socket.socket())
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.connect(("127.0.0.1", port))
    wire.settimeout(PATIENCE)
    fields = headers | {"Host": "localhost", "Accept": accept, "Content-Length": str(len(content))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    wire.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
    return wire


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_clients_that_do_not_read_hold_no_place(tiny_pipeline, monkeypatch, accept):
    """Catches a server that nobody else can use as long as some clients leave their answers unread."""
    monkeypatch.setattr("maskmend.server.deliveries.UNREAD", 1000.0)
    app = app_of(tiny_pipeline, limits=Limits(places=2, silence=1000.0, seconds=1000.0, drain=1.0))
    fill, headers = json_fill()
    alone = tiny_pipeline(PIXELS, MASK).pictures[0].pixels
    with on_a_socket(app) as port, ExitStack() as stack:
        for _ in range(2):
            deaf(stack, port, "/v1/inpaint", accept, *fill_of_noise(4))
        until(lambda: len(app.state.service.deliveries.under_way) == 2)
        until(lambda: app.state.service.queue.taken == 0)
        status, content = asked(port, "POST", "/v1/inpaint", body=fill, headers=headers)
        assert status == 200
        np.testing.assert_array_equal(pixels_of(content), alone)


@pytest.mark.slow
def test_what_nobody_reads_is_bounded_in_memory(tiny_pipeline, monkeypatch, loop_clock):
    """Catches answers that pile up in the server's buffers, one for each client that does not read."""
    monkeypatch.setattr("maskmend.server.deliveries.UNREAD", 1000.0)
    app = app_of(tiny_pipeline, limits=Limits(megapixels=2.6, silence=1000.0, seconds=1000.0, drain=1.0))
    service = app.state.service
    large = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3), dtype=np.uint8)  # 7.7 MB
    content, headers = fuzz_run.multipart(file_of(large, compress_level=0), None)
    with on_a_socket(app) as port, ExitStack() as stack:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        wires = []
        for _ in range(6):
            wires.append(deaf(stack, port, "/v1/convert", "*/*", content, headers))
            converted = 'route="/v1/convert",status="200"} ' + f"{len(wires)}.0"
            until(lambda word=converted: word in service.metrics.text().decode())
            loop_clock.forward(SETTLED + 1)
        assert 0 < service.deliveries.size <= service.deliveries.most == 3 * 6_500_000
        # 46 MB were made; the system's own buffers hold some, and each connection a few pieces.
        most = before + service.deliveries.most + 6 * 8 * PIECE
        until(lambda: tracemalloc.get_traced_memory()[0] < most)  # once those cut off have ended
        tracemalloc.stop()
        assert len(rest_of(wires[0])) < large.nbytes  # the first one made way
        assert "maskmend_abandoned_total 0.0" not in service.metrics.text().decode()


@pytest.mark.slow
def test_a_client_that_stops_reading_is_cut_off_before_the_time_limit(tiny_pipeline, loop_clock):
    """Catches an answer that is kept for the whole of the time limit for whoever reads no more of it."""
    app = app_of(tiny_pipeline, limits=Limits(silence=9e5, seconds=9e5, drain=1.0))
    with on_a_socket(app) as port, ExitStack() as stack:
        for accept in ("text/event-stream", "application/json"):
            deaf(stack, port, "/v1/inpaint", accept, *fill_of_noise(8))
        until(lambda: len(app.state.service.deliveries.under_way) == 2)

        def cut_off() -> bool:
            loop_clock.forward(UNREAD + 1)  # more than once, for whoever still took a piece
            return "maskmend_abandoned_total 2.0" in app.state.service.metrics.text().decode()

        until(cut_off)
        assert app.state.service.deliveries.under_way == []


@pytest.mark.parametrize(("pause", "whole"), [(60, True), (100, False)], ids=["steady", "stuck"])
def test_every_piece_has_its_time(monkeypatch, loop_clock, pause, whole):
    """Catches a bound on silence that counts the whole answer, and one that ends with the first piece."""
    monkeypatch.setattr("maskmend.server.deliveries.UNREAD", 90.0)
    pieces: list[bytes] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            loop_clock.ahead += 60 if len(pieces) < 5 else pause
            for _ in range(3):
                await asyncio.sleep(0)  # where a bound that is over ends it
            pieces.append(message["body"])

    async def answered() -> bool:
        answer = Response(NOISE.tobytes()[: 10 * PIECE])
        delivery = Deliveries(10**7, lambda: None).begin(asyncio.get_running_loop().time() + 1000)
        return await delivery.deliver(answer({"type": "http"}, None, delivery.through(send)))  # type: ignore[arg-type]

    assert asyncio.run(answered()) is whole
    assert b"".join(pieces) == NOISE.tobytes()[: (10 if whole else 5) * PIECE]


def test_an_answer_that_says_its_length_still_does(tiny_pipeline):
    """Catches pictures that come without a length, so that no client knows how much is left."""
    with on_a_socket(app_of(tiny_pipeline)) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        fill, headers = json_fill()
        connection.request("POST", "/v1/inpaint", fill, headers)
        answer = connection.getresponse()
        assert int(answer.getheader("Content-Length", "0")) == len(answer.read())
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/samples/object.jpg", "/nothing"])
def test_no_route_waits_for_clients_that_do_not_read(tiny_pipeline, monkeypatch, loop_clock, path):
    """Catches pages, errors and pipelined requests, which are no deliveries: read slowly, they were kept for
    ever.
    """
    stuck, pause = threading.Event(), Protocol.pause_writing
    monkeypatch.setattr(Protocol, "pause_writing", lambda self: (pause(self), stuck.set()))

    def small(*where: Any) -> socket.socket:
        listening = listen(*where)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # the system's own holds megabytes
        return listening

    monkeypatch.setattr("server_parts.listen", small)
    app = app_of(tiny_pipeline, limits=Limits(drain=1.0))
    with on_a_socket(app) as port, socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.connect(("127.0.0.1", port))
        wire.setblocking(False)
        asking = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 200
        sent = 0

        def ask() -> bool:
            nonlocal sent
            with suppress(BlockingIOError):
                sent += wire.send(asking[sent % len(asking) :])
            return stuck.is_set()

        def cut_off() -> bool:
            loop_clock.forward(UNREAD / 4)
            try:
                with suppress(BlockingIOError):
                    assert wire.recv(200) != b""  # 27 bytes a second at most, of 64 KiB in a minute
                ask()
            except ConnectionError:
                return True
            return False

        until(ask)
        until(cut_off)
        assert asked(port, "GET", "/healthz")[0] == 200


def test_a_long_file_is_sent_in_pieces():
    """Catches a page that has to be read as a whole within the time for one piece, and one that arrives in
    disorder.
    """
    message = {"type": "http.response.body", "body": NOISE.tobytes()[: 3 * PIECE + 5]}
    pieces = list(in_pieces(message))
    assert [len(piece["body"]) for piece in pieces] == [PIECE, PIECE, PIECE, 5]
    assert [piece["more_body"] for piece in pieces] == [True, True, True, False]
    assert b"".join(piece["body"] for piece in pieces) == message["body"]
    assert list(in_pieces({"type": "http.response.start"})) == [{"type": "http.response.start"}]
    assert list(in_pieces({"type": "http.response.body"})) == [{"type": "http.response.body"}]
