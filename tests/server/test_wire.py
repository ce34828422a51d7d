"""Requests byte by byte: where a body ends, where a token is looked for, and what is no HTTP at all."""

import json
import re
import socket

import pytest

from maskmend.server.security import PROTECTED
from server_parts import PATIENCE, app_of, on_a_socket

TOKEN = "correct horse battery"
HOST = "Host: localhost\r\n"
BEARER = f"Authorization: Bearer {TOKEN}\r\n"
POST = f"POST /v1/inpaint HTTP/1.1\r\n{HOST}{BEARER}Content-Type: application/json\r\n"
HIDDEN = f"GET /hidden HTTP/1.1\r\n{HOST}\r\n"
"""What a proxy may take for the rest of a body, and the server for the next request."""


@pytest.fixture(scope="module")
def port(tiny_pipeline):
    with on_a_socket(app_of(tiny_pipeline, token=TOKEN)) as port:
        yield port


def exchange(port: int, request: str, patience: float = PATIENCE) -> tuple[list[int], bytes, bool]:
    """Statuses of all answers to these bytes, the answers, and whether the server closed the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as wire:
        try:
            wire.sendall(request.encode("latin-1"))
            while piece := wire.recv(65536):
                answer += piece
        except TimeoutError:
            return _statuses(answer), answer, False
        except ConnectionError:
            pass
    return _statuses(answer), answer, True


def _statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize(
    "request_",
    [
        f"{POST}Content-Length: {5 + len(HIDDEN)}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        f"{POST.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
        f"{POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
        f"{POST}Content-Length: +2\r\n\r\n{{}}",
        f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        f"{POST}X: a\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}XX0\r\n\r\n",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n0x2\r\n{{}}\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n-2\r\n{{}}\r\n0\r\n\r\n",
    ],
    ids=[
        "length and chunks", "chunks and length", "tab", "HTTP/1.0", "two lengths", "plus", "unknown coding",
        "two codings", "vertical tab", "space before the colon", "bare CR", "endless chunk", "hex sign",
        "negative chunk",
    ],
)  # fmt: skip
def test_a_body_whose_end_is_in_doubt_is_refused_with_what_follows(port, request_):
    """Catches request smuggling: what is the rest of a body to a proxy is answered here as a request."""
    statuses, answer, closed = exchange(port, request_ + HIDDEN)
    assert (statuses, closed) == ([400], True)
    head, _, told = answer.partition(b"\r\n\r\n")
    assert b"nosniff" in head
    assert json.loads(told)["error"]["code"] in ("two_lengths", "bad_request")


def test_bodies_that_are_in_no_doubt_are_read(port):
    """Catches a guard against smuggling that refuses proper chunks, or a second request behind a first."""
    for body in ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "Content-Length: 2\r\n\r\n{}"):
        statuses, *_ = exchange(
            port, POST + body + HIDDEN.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
        )
        assert statuses == [422, 404]


@pytest.mark.parametrize(
    "sent",
    [
        "",
        f"Authorization: Bearer wrong\r\n{BEARER}",
        f"{BEARER}Authorization: Bearer wrong\r\n",
        BEARER + BEARER,
        f"Authorization: Bearer {TOKEN}\xa0\r\n",
        f"Authorization: Bearer {TOKEN[:-1]}\r\n",
        "Authorization: Basic Y29ycmVjdCBob3JzZSBiYXR0ZXJ5\r\n",
        f"Proxy-Authorization: Bearer {TOKEN}\r\n",
        f"X-Token: {TOKEN}\r\nX-Api-Key: {TOKEN}\r\nToken: {TOKEN}\r\n",
        f"Cookie: token={TOKEN}; maskmend-token={TOKEN}\r\n",
        f"Referer: http://localhost/#token={TOKEN}\r\n",
    ],
)
def test_the_token_counts_in_its_one_place_only(port, sent):
    """Catches a second way in, and two headers of which a proxy checks one and the server the other."""
    path = "/v1/models?token=correct+horse+battery&access_token=correct+horse+battery"
    statuses, answer, _ = exchange(port, f"GET {path} HTTP/1.1\r\n{HOST}{sent}Connection: close\r\n\r\n")
    assert statuses == [401]
    assert TOKEN.encode() not in answer


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models", "//v1/models", "/V1/models", "/%76%31/models", "/v1%2fmodels", "/v1/./models",
        "/samples/../v1/models", "/samples/%2e%2e/metrics", "/./metrics", "/metrics/", "/metrics;x", "/v1",
        "/v1/models%00", "/%2fv1/models", "\\v1\\models", "http://localhost/v1/models", "*",
        "/api/v1/inpaint/", "/static/../../security.py", "/..%2fsecurity.py", "/editor.js/../../security.py",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "CONNECT"])
def test_no_spelling_of_a_path_leads_past_the_token(port, method, path):
    """Catches a path that the router resolves to a route and the middleware does not, and other files."""
    lines = f"{method} {path} HTTP/1.1\r\n{HOST}Content-Length: 0\r\nConnection: close\r\n\r\n"
    statuses, answer, _ = exchange(port, lines)
    assert statuses in ([400], [401], [404], [405])
    assert b"maskmend_requests" not in answer
    assert b"def check_token" not in answer
    if path.startswith(PROTECTED):
        assert statuses == [401]


@pytest.mark.parametrize("first", ["", f"GET /healthz HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"])
@pytest.mark.parametrize(
    "noise", ["\x16\x03\x01\x02\0\x01\xfc\x03\x03\r\n\r\n", "SSH-2.0-x\r\n\r\n", "zz\r\n"]
)
def test_what_is_no_http_ends_without_a_traceback(port, caplog, first, noise):
    """Catches a mistake of the client's that is logged as one of ours, with a traceback."""
    statuses, _, closed = exchange(port, first + noise + "\r\n")
    assert closed
    assert statuses in ([400], [200, 400], [200])
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
