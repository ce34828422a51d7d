"""Code shared by both clients: the HTTP library, the address, and error handling."""

from collections.abc import Mapping
from typing import Any, TypeVar

from maskmend.client.calls import Answered, Call
from maskmend.client.errors import NoAnswer, UnexpectedAnswer, error_from
from maskmend.client.retries import Retries
from maskmend.errors import ConfigError, pip_install

try:
    import httpx2
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"maskmend.client needs httpx2: {pip_install('client')}", name=error.name
    ) from None

T = TypeVar("T")
ADDRESS = "http://127.0.0.1:8765"
"""Default address of `maskmend serve`."""
PATIENCE = 150.0
"""Seconds without receiving data after which a request fails; the server's own time limit is 120 s."""


def settings(url: str, token: str | None, timeout: float) -> dict[str, Any]:
    """Arguments for an httpx2 client. Raises ConfigError for an invalid address."""
    try:
        address = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError):
        address = None
    if address is None or address.scheme not in ("http", "https") or not address.host:
        raise ConfigError(f"the server's address {url!r} is none: give one such as {ADDRESS}")
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ConfigError("the token has a line end, or characters beyond ASCII: give it unchanged")
    return {
        "base_url": address,
        "headers": {} if token is None else {"Authorization": f"Bearer {token}"},
        "timeout": httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
    }


def unreachable(url: object, error: httpx2.HTTPError) -> NoAnswer:
    """The exception for a transport error."""
    what = "in time" if isinstance(error, httpx2.TimeoutException) else f"({error or type(error).__name__})"
    return NoAnswer(f"no answer from {url} {what}: is `maskmend serve` running there?")


def cut_off() -> NoAnswer:
    return NoAnswer("the stream of events ended before the fill was done: ask again")


def answer_of(call: Call[T], status: int, headers: Mapping[str, str], content: bytes) -> T:
    """Raises the server's error, or UnexpectedAnswer."""
    if not 200 <= status < 300:
        raise error_from(status, content)
    try:
        return call.read(Answered(headers=headers, content=content))
    except (TypeError, ValueError, AttributeError) as error:
        raise UnexpectedAnswer(f"the server's answer cannot be read ({error})", status=status) from error


class RetryState:
    """Counts the attempts of one request and the time spent waiting between them."""

    def __init__(self, retries: Retries) -> None:
        self.retries, self.sent, self.waited = retries, 0, 0.0

    def pause(self, status: int, headers: Mapping[str, str]) -> float | None:
        """Seconds to wait before the next attempt; None to give up."""
        self.sent += 1
        seconds = self.retries.pause(status, headers, sent=self.sent, waited=self.waited)
        self.waited += seconds or 0.0
        return seconds
