"""Pages of other sites that may use the API: those that the server was told of, and no others.

The Fetch standard, 3.2 ("HTTP-CORS protocol"). An origin is compared as a whole; there is no "every origin",
as any page on the web could then send pictures to a server that only this machine was meant to reach.
Cookies play no part: a client says its token in a header, which the preflight allows.
"""

import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from maskmend.errors import ConfigError

ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
"""The serialization of an origin (RFC 6454, 6.2) in lower case, of web pages only."""
EXPOSED = (
    "Retry-After, X-Maskmend-Seed, X-Maskmend-Log-Likelihood, X-Maskmend-Note, X-Maskmend-Unfamiliar, "
    "X-Maskmend-Converted, X-Maskmend-Channel, X-Maskmend-Resized"
)
MAX_AGE = 600
"""Seconds for which a browser need not ask again."""


def check_origins(origins: Iterable[str]) -> None:
    """Raises ConfigError for what is not the origin of a page as browsers send it."""
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"--allow-origin {origin}: give scheme, host and port as browsers send them, in lower case "
                "and without a path, such as https://app.example or http://localhost:3000"
            )


def is_preflight(method: str, headers: Headers) -> bool:
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_response(headers: Headers) -> Response:
    """The answer to a browser that asks on behalf of an allowed origin what it may send."""
    answer = Response(status_code=204)
    answer.headers["Access-Control-Allow-Methods"] = "GET, POST"
    answer.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
    answer.headers["Access-Control-Max-Age"] = str(MAX_AGE)
    if headers.get("access-control-request-private-network") == "true":
        answer.headers["Access-Control-Allow-Private-Network"] = "true"
    return answer


def allow(answer: MutableHeaders, origin: str) -> None:
    """Lets a page of `origin`, which is allowed, read an answer with these headers."""
    answer["Access-Control-Allow-Origin"] = origin
    answer["Access-Control-Expose-Headers"] = EXPOSED
    answer.add_vary_header("Origin")
