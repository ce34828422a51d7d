"""Middleware that checks every request first: access control and size limits.

- The Host header must name this server, so that other sites cannot reach it through a host name of their own
  that resolves here (DNS rebinding). IP addresses cannot be rebound: loopback addresses are always allowed,
  others with `allow_remote`.
- A request with an Origin header must come from the server's own page, or from an origin allowed by
  `--allow-origin` (see `cors`).
- If a token is set, the API requires it.
- A body of ambiguous length is refused and the connection is closed (request smuggling).
- A body above the size limit is refused by its Content-Length, or else while it is being received
  (`upload_size`).

Every response carries headers that prevent MIME sniffing, framing, and loading resources from elsewhere.
"""

import asyncio
import hmac
import ipaddress
import re
import socket

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskmend.server import cors
from maskmend.server.deliveries import in_pieces
from maskmend.server.errors import ApiError, api_error_from, stopping
from maskmend.server.metrics import Metrics
from maskmend.server.settings import ServeConfig, is_loopback
from maskmend.server.upload_size import check_upload_size, limit_upload_size

PROTECTED = ("/v1/", "/api/", "/metrics")
ABANDONED = (408, 499, 504)
"""Statuses of requests that timed out or whose client disconnected. Event streams, whose status was already
sent, count their own."""
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
            for piece in in_pieces(message):  # the next one when the client has read most of the last one
                await send(piece)

        try:
            headers = Headers(scope=scope)
            check_framing(headers, scope["http_version"])
            check_host(headers, self.config)
            origin = headers.get("origin")
            if origin in self.config.origins:
                allowed = origin
                if cors.is_preflight(scope["method"], headers):  # preflights carry no token (Fetch standard)
                    await cors.preflight_response(headers)(scope, receive, sending)
                    return
            else:
                check_origin(headers)
            if scope["path"].startswith(PROTECTED):
                check_token(headers, self.config.token)
            check_upload_size(headers, self.config.limits.upload_bytes)
            await self.app(scope, limit_upload_size(receive, self.config.limits.upload_bytes), sending)
        except Exception as error:
            if started:  # too late for an error response
                raise
            await api_error_from(error).response(scope["path"])(scope, receive, sending)
        except asyncio.CancelledError:
            # The drain time is over. Passed on, it would log a traceback and send a 500 in plain text.
            if not started:
                await stopping().response(scope["path"])(scope, receive, sending)


def check_framing(headers: Headers, version: str) -> None:
    """Raises ApiError (400) for a chunked body with a Content-Length, and for a chunked body in HTTP/1.0.

    RFC 9112, 6.1 and 11.2: a proxy and this server may disagree on where the body ends. The rest of the body
    could then be taken for a second request, whose response would go to the next client.
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
        f"this server has no name {', '.join(given)[:80]!r}: use its address, or start it with --name",
    )


HOST = re.compile(r"(?:(?P<name>[a-z0-9._-]+)|\[(?P<v6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
"""uri-host [":" port] of RFC 9110, 7.2, in lower case and without impossible host names."""


def host_name(host: str) -> str | None:
    """The name or address in a Host header without its port; None if the header is invalid."""
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
    """Raises ApiError (403) when the request comes from another site's page."""
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
    """Raises ApiError (401) when a token is required and missing or wrong."""
    if token is None:
        return
    sent = headers.getlist("authorization")  # of two headers, a proxy may have checked the other one
    kind, _, given = (sent[0] if len(sent) == 1 else "").partition(" ")
    if kind.lower() != "bearer" or not hmac.compare_digest(given.strip(" \t").encode(), token.encode()):
        raise ApiError(
            401, "token_needed", "send the server's token as: Authorization: Bearer TOKEN",
            {"WWW-Authenticate": "Bearer"},
        )  # fmt: skip
