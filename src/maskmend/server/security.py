"""What every request passes before anything else: who may come in, and how much may be carried in.

- The Host header must name this server, so that a page of another site cannot reach it under a name of its
  own that points here (DNS rebinding). Addresses cannot be rebound: loopback ones always pass, others with
  allow_remote.
- A request that says from which page it comes (Origin) must come from ours, or from one that `--allow-origin`
  names (see `cors`).
- With a token, the API answers only those who send it.
- A body whose end could be seen in two places is refused, and the connection closed (request smuggling).
- A body larger than the limit is refused by what it says of itself, or else while it arrives.

Every answer carries headers that keep browsers from guessing types, framing the page, or fetching from
elsewhere.
"""

import asyncio
import hmac
import ipaddress
import re
import socket

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskmend.server import cors
from maskmend.server.errors import ApiError, api_error_from, stopping
from maskmend.server.metrics import Metrics
from maskmend.server.settings import ServeConfig, is_loopback

PROTECTED = ("/v1/", "/api/", "/metrics")
ABANDONED = (408, 499, 504)
"""Answers to those whose time is up or who have left. Streams of events, which have a status by then, count
for themselves."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class SecurityMiddleware:
    def __init__(self, app: ASGIApp, config: ServeConfig, metrics: Metrics) -> None:
        self.app, self.config, self.metrics = app, config, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = 0
        allowed: str | None = None

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if allowed is not None:
                    cors.allow(headers, allowed)
                route = getattr(scope.get("route"), "path", "elsewhere")
                self.metrics.requests.labels(route, str(started)).inc()
                if started in ABANDONED:
                    self.metrics.abandoned.inc()
            await send(message)

        try:
            headers = Headers(scope=scope)
            check_framing(headers, scope["http_version"])
            check_host(headers, self.config)
            origin = headers.get("origin")
            if origin in self.config.origins:
                allowed = origin
                if cors.is_preflight(scope["method"], headers):  # without the token, by the standard
                    await cors.preflight_response(headers)(scope, receive, sending)
                    return
            else:
                check_origin(headers)
            if scope["path"].startswith(PROTECTED):
                check_token(headers, self.config.token)
            check_length(headers, self.config.limits.upload_bytes)
            await self.app(scope, counted(receive, self.config.limits.upload_bytes), sending)
        except Exception as error:
            if started:  # too late to say anything
                raise
            await api_error_from(error).response(scope["path"])(scope, receive, sending)
        except asyncio.CancelledError:
            # The drain time is over. Let through, it would be a traceback in the log and a 500 in plain text.
            if not started:
                await stopping().response(scope["path"])(scope, receive, sending)


def check_framing(headers: Headers, version: str) -> None:
    """Raises ApiError (400) for a body that has a length and is chunked, and for a chunked one of HTTP/1.0.

    RFC 9112, 6.1 and 11.2: a proxy in front may go by the one and we by the other. What is the rest of a body
    to it would be a request to us, and its answer would go to whoever comes next.
    """
    if "transfer-encoding" in headers and ("content-length" in headers or version != "1.1"):
        raise ApiError(
            400,
            "two_lengths",
            "the request has Transfer-Encoding beside Content-Length, or is of HTTP/1.0: send one of them",
            {"Connection": "close"},
        )


def check_host(headers: Headers, config: ServeConfig) -> None:
    """Raises ApiError (400) unless the Host header is a name or address of this server."""
    given = headers.getlist("host")
    host = host_name(given[0]) if len(given) == 1 else None
    known = {name.lower() for name in (*config.names, config.host)}
    if config.allow_remote:
        known.add(socket.gethostname().lower())
    if host and (host in known or is_loopback(host) or (config.allow_remote and is_address(host))):
        return
    raise ApiError(
        400,
        "unknown_host",
        f"this server is not known as {', '.join(given)[:80]!r}: use its address, or start it with --name",
    )


HOST = re.compile(r"(?:(?P<name>[a-z0-9._-]+)|\[(?P<v6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
"""uri-host [":" port] of RFC 9110, 7.2, in lower case; without the names that no host has."""


def host_name(host: str) -> str | None:
    """The name or address in a Host header without its port; None for what is no host and port."""
    match = HOST.fullmatch(host.strip(" \t").lower())
    if match is None or int(match["port"] or 0) > 65535:
        return None
    if match["v6"] is None:
        return match["name"]
    return match["v6"] if is_address(match["v6"]) and ":" in match["v6"] else None


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_origin(headers: Headers) -> None:
    """Raises ApiError (403) when the request says that it comes from another site's page."""
    origin = headers.get("origin")
    if origin is not None:
        host = headers.get("host", "").strip().lower()
        if origin.lower() not in (f"http://{host}", f"https://{host}"):  # RFC 6454, 6.1: scheme, host, port
            raise ApiError(
                403, "other_origin", "the request comes from another site's page: open the server's own"
            )
    elif headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
        raise ApiError(
            403, "other_origin", "the request comes from another site's page: open the server's own"
        )


def check_token(headers: Headers, token: str | None) -> None:
    """Raises ApiError (401) when a token is wanted and not there."""
    if token is None:
        return
    sent = headers.getlist("authorization")  # of two, a proxy may have looked at the other
    kind, _, given = (sent[0] if len(sent) == 1 else "").partition(" ")
    if kind.lower() != "bearer" or not hmac.compare_digest(given.strip(" \t").encode(), token.encode()):
        raise ApiError(
            401, "token_needed", "send the server's token as: Authorization: Bearer TOKEN",
            {"WWW-Authenticate": "Bearer"},
        )  # fmt: skip


def check_length(headers: Headers, limit: int) -> None:
    """Raises ApiError (413) for a body that says itself that it is too large."""
    said = headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said[:20]) > limit:
        raise _too_large(limit)


def counted(receive: Receive, limit: int) -> Receive:
    """`receive`, refusing a body as soon as more than `limit` bytes have come."""
    came = 0

    async def receiving() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > limit:
            raise _too_large(limit)
        return message

    return receiving


def _too_large(limit: int) -> ApiError:
    return ApiError(
        413, "too_large",
        f"the request is larger than {limit / 2**20:g} MiB: send a smaller picture, or one packed better",
        {"Connection": "close"},
    )  # fmt: skip
