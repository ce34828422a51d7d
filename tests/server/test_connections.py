"""Connections: idle ones make way for new ones, and one address cannot have all."""

import http.client
import socket
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from maskmend.server.connections import Connections
from server_parts import PATIENCE, app_of, on_a_socket
from test_uploads import asked


class Known(SimpleNamespace):
    """A connection of which all is known."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def known(address: str, idle_since: float | None = None) -> Known:
    closed: list[bool] = []
    transport = SimpleNamespace(abort=lambda: closed.append(True))
    return Known(client=(address, 1), transport=transport, idle_since=idle_since, closed=closed)


def test_the_longest_idle_makes_way():
    """Catches a server that lets nobody in once idle connections have taken all there are."""
    connections = Connections(4)
    some = [known(f"10.0.0.{n}", since) for n, since in enumerate((5.0, 3.0, None, 4.0))]
    assert all(connections.admit(one) for one in some)
    assert connections.admit(known("10.0.0.9", 6.0))
    assert [bool(one.closed) for one in some] == [False, True, False, False]
    assert len(connections) == 4
    for one in (*some, known("10.0.0.10")):
        connections.leave(one)
    assert len(connections) == 1


def test_one_address_displaces_its_own_only():
    """Catches a client that throws out everybody else, and one that has as many places as addresses."""
    connections = Connections(4)
    other = known("10.0.0.1", 0.0)
    mine = [known(f"2001:db8::{n}", 1.0 + n) for n in range(3)]
    assert connections.admit(other)
    assert all(connections.admit(one) for one in mine)
    assert [bool(one.closed) for one in (other, *mine)] == [False, True, False, False]


def test_where_all_are_at_work_the_new_one_is_refused():
    """Catches an answer that is cut off for a connection that has asked for nothing yet."""
    connections = Connections(4)
    busy = [known("10.0.0.1"), known("10.0.0.1")]
    assert all(connections.admit(one) for one in busy)
    assert not connections.admit(known("10.0.0.1", 0.0))
    assert not any(one.closed for one in busy)
    assert connections.admit(known("10.0.0.2", 0.0))


def gone(wire: socket.socket) -> bool:
    try:
        return wire.recv(10) == b""
    except ConnectionError:
        return True


def test_idle_sockets_do_not_keep_others_out(tiny_pipeline, monkeypatch):
    """Catches clients that open connections, send nothing, and take all that the process may have."""
    monkeypatch.setattr("maskmend.server.connections.MOST", 8)
    with on_a_socket(app_of(tiny_pipeline)) as port, ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            for _ in range(40)
        ]
        for _ in range(6):
            assert asked(port, "GET", "/healthz")[0] == 200
        assert gone(idle[0])
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        for _ in range(3):  # on one connection
            kept.request("GET", "/healthz")
            assert kept.getresponse().read()
        kept.close()


def test_the_limit_of_open_files_is_raised():
    """Catches a server that the usual soft limit of 1024 files keeps from what the system allows."""
    program = (
        "import resource\nfrom maskmend.server.connections import connections_for, open_files\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))\n"
        "files = open_files()\nprint(files, connections_for(files).most, connections_for(200).most)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    files, most, few = map(int, ran.stdout.split())
    assert files > 300
    assert most == min(4096, files - 128)
    assert few == 72


@pytest.mark.parametrize("trusted", [False, True])
def test_an_address_that_a_client_gives_counts_only_where_a_proxy_is_trusted(
    tiny_pipeline, monkeypatch, trusted
):
    """Catches clients on this machine that are as many as they say they are, in a header."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if trusted:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", "127.0.0.1")
    app, seen = app_of(tiny_pipeline), []
    begin = app.state.service.uploads.begin

    def noted(request):
        seen.append(request.client.host)
        return begin(request)

    monkeypatch.setattr(app.state.service.uploads, "begin", noted)
    with on_a_socket(app) as port:
        asked(port, "POST", "/v1/convert", body=b"", headers={"X-Forwarded-For": "10.1.2.3"})
    assert seen == ["10.1.2.3" if trusted else "127.0.0.1"]
