"""Uploads under way: what those that bring nothing may take from others, and for how long."""

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from fastapi import FastAPI

from maskmend.server.settings import Limits
from maskmend.server.uploads import owner_of
from server_parts import MASK, PATIENCE, PIXELS, Gated, app_of, body, on_a_socket, pixels_of, until

HEAD = "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
PATHS = {
    "/v1/inpaint": "multipart/form-data; boundary=limit",
    "/v1/convert": "multipart/form-data; boundary=limit",
    "/api/v1/inpaint": "application/json",
}


def started(stack: ExitStack, port: int, path: str = "/v1/inpaint", length: int = 1000) -> socket.socket:
    """A connection that has announced a body of which nothing has come."""
    wire = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
    wire.sendall(HEAD.format(path=path, kind=PATHS[path], length=length).encode())
    return wire


def rest_of(wire: socket.socket) -> bytes:
    """What still comes until the server ends the connection."""
    try:
        return b"".join(iter(lambda: wire.recv(2**20), b""))
    except ConnectionError:
        return b""


def asked(port: int, method: str, path: str, **more) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request(method, path, **more)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def answered(app: FastAPI, status: int) -> float:
    """How many requests were answered with this status."""
    lines = app.state.service.metrics.text().decode().splitlines()
    found = [line for line in lines if line.startswith("maskmend_requests_total{") and f'"{status}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def json_fill() -> tuple[bytes, dict[str, str]]:
    """A fill as JSON, and its headers."""
    return json.dumps(body()).encode(), {"Content-Type": "application/json"}


@pytest.mark.slow
def test_two_hundred_idle_uploads_do_not_stop_the_server(tiny_pipeline, loop_clock):
    """Catches places taken by clients that send the head of an upload and then nothing."""
    app = app_of(tiny_pipeline)  # limits as they are when nobody says otherwise
    sent, headers = json_fill()
    alone = tiny_pipeline(PIXELS, MASK).pictures[0].pixels
    refused = 200 - app.state.service.limits.uploads_of_one
    with on_a_socket(app) as port, ExitStack() as stack:
        for number in range(200):
            started(stack, port, list(PATHS)[number % len(PATHS)])
        # All others were refused, or made way for one that came more than a second later.
        until(lambda: answered(app, 429) + answered(app, 408) >= refused)
        loop_clock.forward(1.1)  # the idle ones are no longer young
        for _ in range(5):
            assert asked(port, "GET", "/healthz")[0] == 200
            status, content = asked(port, "POST", "/v1/inpaint", body=sent, headers=headers)
            assert status == 200
            np.testing.assert_array_equal(pixels_of(content), alone)
        assert app.state.service.queue.arriving <= app.state.service.limits.uploads_of_one


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["silent", "slow"])
@pytest.mark.parametrize("path", PATHS)
def test_an_upload_slower_than_the_pace_is_cut_off(tiny_pipeline, loop_clock, path, drip):
    """Catches uploads that may take all of the time limit, though nothing or next to nothing comes."""
    app = app_of(tiny_pipeline, limits=Limits(silence=500.0, seconds=9000.0, drain=5.0))
    under_way = app.state.service.uploads.under_way
    with on_a_socket(app) as port, ExitStack() as stack:
        wire = started(stack, port, path, length=100_000)
        if drip and "multipart" in PATHS[path]:  # or the form would be refused at its first byte
            wire.sendall(b'--limit\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n')
        until(lambda: len(under_way) == 1)
        for _ in range(3):
            before = under_way[0].came
            wire.sendall(drip)
            until(lambda before=before: under_way[0].came > before or not drip)
            loop_clock.forward(200)
        answer = rest_of(wire)
        assert b" 408 " in answer
        assert b"less than 1 KiB a second" in answer
        until(lambda: app.state.service.queue.arriving == app.state.service.queue.taken == 0)


def test_an_upload_at_the_pace_may_take_longer_than_the_silence(tiny_pipeline, loop_clock):
    """Catches a bound on silence that cuts off slow but steady clients."""
    app = app_of(tiny_pipeline, limits=Limits(silence=100.0, pace_kib=0.01, seconds=900.0, drain=5.0))
    content, _ = json_fill()
    under_way = app.state.service.uploads.under_way
    with on_a_socket(app) as port, ExitStack() as stack:
        idle = started(stack, port)
        until(lambda: len(under_way) == 1)
        wire = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        head = HEAD.format(path="/v1/inpaint", kind="application/json", length=len(content) + 24_000)
        wire.sendall(head.encode())
        for number in range(1, 9):
            wire.sendall(b" " * 3000)
            until(lambda came=3000 * number: under_way and under_way[-1].came == came)
            loop_clock.forward(60)
        wire.sendall(content)
        assert b" 200 " in wire.recv(4096)
        assert b" 408 " in idle.recv(4096)  # who sends nothing for as long is cut off


def test_all_uploads_end_at_the_time_limit(tiny_pipeline, loop_clock):
    """Catches a pace that is kept up for ever."""
    app = app_of(tiny_pipeline, limits=Limits(seconds=600.0, silence=400.0, pace_kib=0.001, drain=5.0))
    under_way = app.state.service.uploads.under_way
    with on_a_socket(app) as port, ExitStack() as stack:
        wire = started(stack, port, "/api/v1/inpaint", length=10**6)
        until(lambda: len(under_way) == 1)
        for came in (500, 1000):  # 410 bytes are the pace
            wire.sendall(b"x" * 500)
            until(lambda came=came: under_way[0].came == came)
            loop_clock.forward(350)
        answer = rest_of(wire)
        assert b" 408 " in answer
        assert b"did not arrive within 600 s" in answer


def test_the_slowest_makes_way(tiny_pipeline, monkeypatch):
    """Catches a newcomer that pushes out whoever is about to be done, and one that is refused for nothing."""
    monkeypatch.setattr("maskmend.server.uploads.YOUNG", 1000.0)
    app = app_of(tiny_pipeline, limits=Limits(places=2, silence=500.0, seconds=500.0, drain=5.0))
    line = app.state.service.queue
    content, headers = json_fill()
    with on_a_socket(app) as port, ExitStack() as stack:
        busy = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        head = HEAD.format(path="/v1/inpaint", kind="application/json", length=len(content))
        busy.sendall(head.encode() + content[:-1])
        until(lambda: line.arriving == 1)
        idle = started(stack, port)
        until(lambda: line.arriving == 2)
        assert asked(port, "POST", "/v1/inpaint", body=content, headers=headers)[0] == 429
        monkeypatch.setattr("maskmend.server.uploads.YOUNG", 0.0)
        assert asked(port, "POST", "/v1/inpaint", body=content, headers=headers)[0] == 200
        assert b"cut off in favour of another" in rest_of(idle)
        busy.sendall(content[-1:])
        assert b" 200 " in busy.recv(4096)


def test_one_address_cannot_take_all(tiny_pipeline):
    """Catches a bound for all that one client alone can reach."""
    app = app_of(tiny_pipeline, limits=Limits(places=2, silence=500.0, seconds=500.0, drain=5.0))
    with on_a_socket(app) as port, ExitStack() as stack:
        wires = [started(stack, port) for _ in range(3)]
        assert b" 429 " in wires[2].recv(4096)
        other = stack.enter_context(
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=("127.0.0.2", 0))
        )
        other.sendall(HEAD.format(path="/v1/inpaint", kind="application/json", length=5).encode())
        until(lambda: app.state.service.queue.arriving == 3)


def test_the_bytes_of_all_uploads_are_bounded(tiny_pipeline, monkeypatch):
    """Catches gigabytes held by uploads each of which is within its limit, and never comes to an end."""
    monkeypatch.setattr("maskmend.server.uploads.YOUNG", 0.0)
    app = app_of(tiny_pipeline, limits=Limits(upload_mib=0.05, silence=500.0, seconds=500.0, drain=5.0))
    service = app.state.service
    content, headers = json_fill()
    with on_a_socket(app) as port, ExitStack() as stack:
        wires = []
        for number in range(20):
            wires.append(started(stack, port, "/api/v1/inpaint", length=50_000))
            wires[-1].sendall(b" " * 45_000)
            until(lambda n=number: service.uploads.size >= min(n + 1, 8) * 45_000)
            assert service.uploads.size <= service.limits.bytes_at_once == 8 * 52428
        until(lambda: service.queue.arriving <= 12)  # those cut off have ended
        assert b"cut off in favour of another" in rest_of(wires[0])  # the one that held most for longest
        assert asked(port, "POST", "/v1/inpaint", body=content, headers=headers)[0] == 200


def test_an_upload_for_which_there_is_no_room_is_told_to_come_back(tiny_pipeline):
    """Catches a newcomer that throws out those that have only just begun."""
    app = app_of(tiny_pipeline, limits=Limits(upload_mib=0.05, silence=500.0, seconds=500.0, drain=5.0))
    service = app.state.service
    with on_a_socket(app) as port, ExitStack() as stack:
        service.queue.acquire().hold_bytes(service.limits.bytes_at_once - 1000)
        wire = started(stack, port, "/api/v1/inpaint", length=50_000)
        wire.sendall(b" " * 2000)
        assert b" 429 " in wire.recv(4096)


def test_a_request_that_waits_holds_its_bytes_no_longer(tiny_pipeline):
    """Catches 32 uploads of 32 MiB that are kept beside the pictures that were made of them."""
    pipe = Gated(tiny_pipeline)
    app = app_of(pipe)
    queue = app.state.service.queue
    content, headers = json_fill()
    with on_a_socket(app) as port, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asked, port, "POST", "/v1/inpaint", body=content, headers=headers)
        assert pipe.entered.wait(PATIENCE)
        assert (queue.taken, queue.held_bytes) == (1, 0)
        pipe.gate.set()
        assert waiting.result()[0] == 200
        until(lambda: queue.taken == 0)
        assert queue.held_bytes == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("testclient", "testclient", True),
    ],
)
def test_an_address_is_what_one_client_has(one, other, same):
    """Catches a client that has 2^64 addresses of IPv6, and counts as as many."""
    assert (owner_of(one) == owner_of(other)) is same
