"""What is wrong with a request's fields, in the words of the command line and of recipes.

Pydantic's own ("Input should be 'a' or 'b'") name neither the value nor the nearest choice.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maskmend.choices import nearest, one_of, shown
from maskmend.config import WANTED

MOST = 5
"""Maximum number of fields in a message."""

_KINDS = {
    "int_type": WANTED[int],
    "int_parsing": WANTED[int],
    "int_from_float": WANTED[int],
    "int_parsing_size": "a smaller number",
    "float_type": WANTED[float],
    "float_parsing": WANTED[float],
    "finite_number": "a finite number",
    "bool_type": WANTED[bool],
    "bool_parsing": WANTED[bool],
    "string_type": WANTED[str],
}
_BOUNDS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "a number above {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "a number below {}"),
    "string_too_short": ("min_length", "a text of {} characters or more"),
    "string_too_long": ("max_length", "a text of {} characters or less"),
}


def field_errors(problems: Sequence[Mapping[str, Any]], known: Iterable[str]) -> list[str]:
    """A line for each field that pydantic has `problems` with; `known` are the valid names."""
    fields: dict[str, list[Mapping[str, Any]]] = {}
    for problem in problems:
        place = [str(part) for part in problem["loc"] if part not in ("body", "query")]
        # What follows a field's name are the alternatives of its type.
        fields.setdefault(place[0] if place else "", []).append(problem)
    return [_line(name, found, known) for name, found in list(fields.items())[:MOST]]


def _line(name: str, problems: Sequence[Mapping[str, Any]], known: Iterable[str]) -> str:
    kind = problems[0]["type"]
    if kind == "extra_forbidden":
        return f"unknown parameter {name[:60]!r}{nearest(name[:60], known)}"
    if kind == "missing":
        return f"{name} is missing: send it"
    remedy = ", or ".join(_remedy(problem) for problem in problems)
    return f"{name} = {shown(problems[0]['input'])}: {remedy}" if name else f"the request: {remedy}"


def _remedy(problem: Mapping[str, Any]) -> str:
    """What to give instead."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "literal_error":
        return one_of(problem["input"], re.findall(r"'([^']*)'", context["expected"]))
    if kind in _KINDS:
        return f"give {_KINDS[kind]}"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        limit = context[key]
        return f"give {words.format(f'{limit:g}' if isinstance(limit, float) else limit)}"
    return str(problem["msg"]).removeprefix("Value error, ")
