"""The format that a file states, a number, and which of them are read (docs/model-format.md)."""

from pathlib import Path
from typing import Any

from maskmend.errors import MaskmendError


def check_format(
    found: Any,
    newest: int,
    what: str | Path,
    error: type[MaskmendError],
    *,
    otherwise: str,
    oldest: int = 1,
) -> int:
    """The format found, if this version reads it.

    Args:
        found: what the file states; anything, as the file may be damaged.
        newest: the newest format that is read.
        what: the file, as the message names it.
        error: what is raised.
        otherwise: the remedy for what is no format.
        oldest: the oldest format that is read.

    Raises:
        MaskmendError: `error`, for a newer format with the advice to upgrade.
    """
    if type(found) is not int or found < oldest:
        known = str(newest) if oldest == newest else f"{oldest} to {newest}"
        raise error(f"{what} has format {found!r}, expected {known}: {otherwise}")
    if found > newest:
        raise error(f"{what} has format {found}, this version reads up to {newest}: upgrade maskmend")
    return found
