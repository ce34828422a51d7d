"""A server that is told to stop finishes what is under way, and says so to the rest."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from maskmend.server.settings import Limits
from raw_forms import multipart
from server_parts import PATIENCE, app_of, on_a_socket, until

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


def refused(port):
    """Whether the server takes no connections any more, as it is about to end."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


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
        until(lambda: refused(port))
        assert running.poll() is None
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
