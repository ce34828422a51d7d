"""Error messages for unknown names and values, the same for commands, settings, fields of the API and keys of
files.
"""

import difflib
from collections.abc import Iterable
from typing import Any


def nearest(name: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' where some known name is close, else the list of known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else f" (known: {', '.join(known) or 'none'})"


def choice_error(name: str, value: Any, choices: Iterable[Any]) -> str:
    """The message for a `value` that is none of the choices: it names them, and the nearest one.

    Settings, options of the command line and fields of the API all use it.
    """
    return f"{name} = {shown(value)}: {one_of(value, choices)}"


def one_of(value: Any, choices: Iterable[Any]) -> str:
    """The remedy in `choice_error`."""
    choices = list(choices)
    close = difflib.get_close_matches(str(value)[:60], list(map(str, choices)), n=1, cutoff=0.5)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    return f"choose one of {', '.join(map(repr, choices))}{meant}"


def shown(value: Any) -> str:
    """A value in an error message, where it is long its beginning."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
