"""Retries: a busy server (429), or one that is not ready (503), gives the seconds to wait in Retry-After."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from maskmend.errors import ConfigError

AGAIN = (429, 503)
"""Statuses after which a request can safely be retried: the server did no work."""


@dataclass(frozen=True, kw_only=True)
class Retries:
    """Retry policy: number of retries and total waiting time.

    A request is retried only if the response has a Retry-After header. Without one, such as when a model
    cannot be used, it would fail again.
    """

    most: int = 4
    """Maximum number of retries; 0: none."""
    longest: float = 60.0
    """Maximum total waiting time in seconds; a request that would have to wait longer fails at once."""

    def __post_init__(self) -> None:
        if self.most < 0 or not 0 <= self.longest < float("inf"):
            raise ConfigError(
                f"retries of most = {self.most} and longest = {self.longest}: give finite numbers, 0 or more"
            )

    def pause(self, status: int, headers: Mapping[str, str], *, sent: int, waited: float) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        Args:
            headers: of the response; a case-insensitive mapping.
            sent: number of attempts so far.
            waited: seconds waited so far.
        """
        if status not in AGAIN or sent > self.most:
            return None
        seconds = seconds_of(headers.get("Retry-After"))
        return None if seconds is None or waited + seconds > self.longest else seconds


def seconds_of(retry_after: str | None, now: datetime | None = None) -> float | None:
    """The Retry-After header (RFC 9110, 10.2.3: seconds or a date) in seconds; None if missing or invalid."""
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
