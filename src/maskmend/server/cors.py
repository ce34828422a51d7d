"""CORS for the origins allowed by `--allow-origin`.

Follows the Fetch standard, 3.2 ("HTTP-CORS protocol"). Origins have to match exactly. There is no wildcard,
as any web page could then send pictures to a server that is meant for this machine only. Cookies are not
used: a client sends its token in a header, which the preflight response allows.
"""

import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from maskmend.errors import ConfigError

ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
"""The serialization of a web page's origin (RFC 6454, 6.2), in lower case."""
EXPOSED = (
    "Retry-After, X-Maskmend-Seed, X-Maskmend-Log-Likelihood, X-Maskmend-Note, X-Maskmend-Unfamiliar, "
    "X-Maskmend-Converted, X-Maskmend-Channel, X-Maskmend-Resized"
)
MAX_AGE = 600
"""Seconds for which a browser may cache the preflight response."""


def check_origins(origins: Iterable[str]) -> None:
    """Raises ConfigError unless each is the origin of a web page as browsers send it."""
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise ConfigError(
                f"--allow-origin {origin}: give scheme, host and port as browsers send them, in lower case "
                "and without a path, such as https://app.example or http://localhost:3000"
            )


def is_preflight(method: str, headers: Headers) -> bool:
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_response(headers: Headers) -> Response:
    """The response to the preflight request of an allowed origin."""
    answer = Response(status_code=204)
    answer.headers["Access-Control-Allow-Methods"] = "GET, POST"
    answer.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
    answer.headers["Access-Control-Max-Age"] = str(MAX_AGE)
    if headers.get("access-control-request-private-network") == "true":
        answer.headers["Access-Control-Allow-Private-Network"] = "true"
    return answer


def allow(answer: MutableHeaders, origin: str) -> None:
    """Adds the headers that let a page of the allowed `origin` read a response."""
    answer["Access-Control-Allow-Origin"] = origin
    answer["Access-Control-Expose-Headers"] = EXPOSED
    answer.add_vary_header("Origin")
