"""Asking again: a busy server (429), or one that is not ready (503), says after how many seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from maskmend.errors import ConfigError

AGAIN = (429, 503)
"""Statuses after which a request may be sent again: nothing was done."""


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often a request is sent again, and how long is waited for that.

    A request is sent again only where the server names a time (Retry-After): without one, such as when a
    model cannot be used, it would be refused again.
    """

    most: int = 4
    """Times that a request is sent again; 0: never."""
    longest: float = 60.0
    """Seconds that are waited in all; a request that would take longer is given up at once."""

    def __post_init__(self) -> None:
        if self.most < 0 or not 0 <= self.longest < float("inf"):
            raise ConfigError(
                f"retries of most = {self.most} and longest = {self.longest}: give finite numbers, 0 or more"
            )

    def pause(self, status: int, headers: Mapping[str, str], *, sent: int, waited: float) -> float | None:
        """Seconds to wait before the request is sent once more, or None to give up.

        Args:
            headers: of the answer, found by names in any case.
            sent: how often it was sent.
            waited: seconds waited so far.
        """
        if status not in AGAIN or sent > self.most:
            return None
        seconds = seconds_of(headers.get("Retry-After"))
        return None if seconds is None or waited + seconds > self.longest else seconds


def seconds_of(retry_after: str | None, now: datetime | None = None) -> float | None:
    """What Retry-After says (RFC 9110, 10.2.3: seconds, or a date) in seconds; None where it says nothing."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
