"""Who is let in: hosts, origins, tokens, and bodies of a bearable size."""

import socket
import time

import pytest
from starlette.datastructures import Headers

from maskmend.server.errors import ApiError
from maskmend.server.run import IDLE, Protocol
from maskmend.server.security import check_host, check_origin, check_token
from maskmend.server.settings import Limits, ServeConfig
from maskmend.server.upload_size import check_upload_size
from server_parts import PATIENCE, app_of, client_of, form, on_a_socket, until

TOKEN = "correct horse battery"


def status(check, *given) -> int:
    try:
        check(*given)
    except ApiError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("host", "local", "remote"),
    [
        ("127.0.0.1:8765", 200, 200),
        ("localhost", 200, 200),
        ("LOCALHOST:1", 200, 200),
        ("[::1]:8765", 200, 200),
        ("studio.lan:8765", 200, 200),
        ("192.168.1.4:8765", 400, 200),
        ("evil.example", 400, 400),
        ("127.0.0.1.evil.example", 400, 400),
        ("localhost.evil.example:8765", 400, 400),
        ("", 400, 400),
        ("[::1", 400, 400),
        ("[::1]", 200, 200),
        ("[::1]x", 400, 400),
        ("[::1]:", 400, 400),
        ("[127.0.0.1]", 400, 400),
        ("[fe80::1%25eth0]", 400, 400),
        ("::1", 400, 400),
        ("127.0.0.1:8765@evil.com", 400, 400),
        ("user@127.0.0.1", 400, 400),
        ("127.0.0.1:", 400, 400),
        ("127.0.0.1:99999", 400, 400),
        ("127.0.0.1:²", 400, 400),
        ("127.0.0.1:80:80", 400, 400),
        ("127.0.0.1/evil.com", 400, 400),
        ("localhost\\evil.com", 400, 400),
        ("127.0.0.1, evil.com", 400, 400),
        ("localhost\x85", 400, 400),
        ("a b", 400, 400),
    ],
)
def test_only_our_own_names_are_answered(host, local, remote):
    """Catches DNS rebinding: another site's name that points at this machine."""
    headers = Headers({"host": host})
    assert status(check_host, headers, ServeConfig(names=("studio.lan",))) == local
    opened = ServeConfig(host="0.0.0.0", allow_remote=True, names=("studio.lan",))
    assert status(check_host, headers, opened) == remote


def test_two_hosts_are_none():
    """Catches a proxy and a server that each go by another of two Host headers."""
    twice = Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")])
    assert status(check_host, twice, ServeConfig()) == 400


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:8765"}, 200),
        ({"origin": "https://127.0.0.1:8765"}, 200),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://[bad"}, 403),
        ({"origin": "http://user@127.0.0.1:8765"}, 403),
        ({"origin": "http://127.0.0.1:8765/path"}, 403),
        ({"origin": "ftp://127.0.0.1:8765"}, 403),
        ({"origin": "//127.0.0.1:8765"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
    ],
)
def test_pages_of_other_sites_are_turned_away(headers, wanted):
    """Catches a page elsewhere that fills pictures on its visitor's machine."""
    assert status(check_origin, Headers({"host": "127.0.0.1:8765"} | headers)) == wanted


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (TOKEN, 401),
        ("Bearer", 401),
        ("Bearer ünlike", 401),
        ("", 401),
    ],
)
def test_only_the_token_gives_access(sent, wanted):
    assert status(check_token, Headers({"authorization": sent}), TOKEN) == wanted
    assert status(check_token, Headers({"authorization": sent}), None) == 200


@pytest.mark.parametrize(
    ("said", "wanted"), [("100", 200), ("101", 413), ("9" * 400, 413), ("-5", 200), ("ten", 200), ("", 200)]
)
def test_a_body_that_says_it_is_too_large_is_not_read(said, wanted):
    assert status(check_upload_size, Headers({"content-length": said}), 100) == wanted


def test_pages_of_other_sites_use_the_api_where_they_are_allowed(tiny_pipeline):
    """Catches an allowed page that still cannot read, one not named that can, a token left out."""
    app = app_of(tiny_pipeline, token=TOKEN, origins=("https://app.example",))
    page, bearer = {"Origin": "https://app.example"}, {"Authorization": f"Bearer {TOKEN}"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with client_of(app) as client:
        before = client.options("/v1/inpaint", headers=page | asked)
        assert (before.status_code, before.headers["access-control-allow-origin"]) == (204, page["Origin"])
        assert "Authorization" in before.headers["access-control-allow-headers"]
        assert "POST" in before.headers["access-control-allow-methods"]
        assert "access-control-allow-private-network" not in before.headers
        near = client.options(
            "/v1/inpaint", headers=page | asked | {"Access-Control-Request-Private-Network": "true"}
        )
        assert near.headers["access-control-allow-private-network"] == "true"
        filled = client.post("/v1/inpaint", files=form(), data={"steps": "1"}, headers=page | bearer)
        assert (filled.status_code, filled.headers["access-control-allow-origin"]) == (200, page["Origin"])
        assert "origin" in filled.headers["vary"].lower()
        told = {name.strip().lower() for name in filled.headers["access-control-expose-headers"].split(",")}
        assert {name for name in filled.headers if name.startswith("x-maskmend-")} <= told
        refused = client.post("/v1/inpaint", files=form(), headers=page)  # may be read, and says why
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, page["Origin"])
        for other in (
            "https://app.example.evil.com",
            "http://app.example",
            "https://app.example:8443",
            "null",
        ):
            for answer in (
                client.options("/v1/inpaint", headers={"Origin": other} | asked),
                client.post("/v1/inpaint", files=form(), headers={"Origin": other} | bearer),
            ):
                assert answer.status_code == 403
                assert "access-control-allow-origin" not in answer.headers
        own = client.get("/v1/models", headers=bearer)
        assert "access-control-allow-origin" not in own.headers


def test_host_origin_and_token_are_checked_for_every_route(tiny_pipeline):
    """Catches a new route that bypasses the middleware."""
    app = app_of(tiny_pipeline, token=TOKEN)
    with client_of(app) as client:
        for path in (
            "/",
            "/docs",
            "/openapi.json",
            "/healthz",
            "/samples",
            "/editor.js",
            "/v1/models",
            "/nothing",
        ):
            assert client.get(path, headers={"Host": "evil.example"}).status_code == 400
            refused = client.get(path, headers={"Origin": "http://evil.example"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "other_origin")
            assert "access-control-allow-origin" not in refused.headers
        for path in ("/v1/models", "/metrics"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        for path in ("/v1/inpaint", "/v1/convert", "/api/v1/inpaint"):
            answer = client.post(path, files=form())
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_needed")
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/").status_code == client.get("/healthz").status_code == 200


def test_answers_tell_browsers_to_stay_here(tiny_pipeline):
    """Catches a page that may load scripts from elsewhere or be framed."""
    with client_of(app_of(tiny_pipeline)) as client:
        for path in ("/", "/nothing", "/v1/models"):
            headers = client.get(path).headers
            assert "script-src 'self'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"


def test_a_body_without_a_length_is_cut_off_at_the_limit(tiny_pipeline):
    """Catches a limit that believes what the client says of itself."""
    limits = Limits(upload_mib=0.1, drain=5.0)
    with client_of(app_of(tiny_pipeline, limits=limits)) as client:
        endless = (b"x" * 10_000 for _ in range(30))
        answer = client.post(
            "/v1/inpaint", content=endless, headers={"Content-Type": "multipart/form-data; boundary=a"}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
        answer = client.post("/v1/inpaint", files=form(image=b"x" * 200_000))
        assert answer.status_code == 413


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nX-Slow: ", b"x"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nX-Slow: ", b"x"),
        (b"POST /v1/inpaint HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n", b"x"),
    ],
    ids=["silent", "slow", "slow after an answer", "slow body of what is answered"],
)
def test_headers_that_do_not_come_do_not_keep_a_connection(tiny_pipeline, loop_clock, first, drip):
    """Catches connections that are kept for ever by sending a byte now and then, or none at all."""
    with (
        on_a_socket(app_of(tiny_pipeline)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire,
    ):
        wire.settimeout(0.05)
        wire.sendall(first)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                wire.sendall(drip)
                if wire.recv(4096) == b"":
                    break
            except TimeoutError:
                loop_clock.forward(IDLE / 4)
            except ConnectionError:
                break
        else:
            raise AssertionError("the connection is still open")


def test_a_request_that_takes_longer_than_its_headers_may_is_answered(tiny_pipeline, monkeypatch, loop_clock):
    """Catches a bound on headers that goes on to count after they have come."""
    monkeypatch.setattr("maskmend.server.run.IDLE", 50)
    bounds, wait = [], Protocol._wait_until
    monkeypatch.setattr(Protocol, "_wait_until", lambda self, when: (bounds.append(when), wait(self, when)))
    app = app_of(tiny_pipeline, limits=Limits(silence=500.0, seconds=500.0, drain=5.0))
    with on_a_socket(app) as port, socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
        head = "POST /v1/inpaint HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        wire.sendall(head.encode())
        until(lambda: len(bounds) == 2)  # that of the connection goes on with part of the headers
        wire.sendall(b"Content-Length: 2\r\n\r\n{")
        until(lambda: app.state.service.queue.arriving == 1)
        loop_clock.forward(60)
        wire.sendall(b"}")
        assert b" 422 " in wire.recv(4096)
