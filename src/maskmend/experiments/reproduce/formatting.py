"""Formats scores with their intervals; an empty text for those that were not measured."""

from maskmend.metrics.bootstrap import Interval


def interval(value: Interval | None, digits: int = 2) -> str:
    """ "9.20 [8.49, 9.89]"."""
    return "" if value is None else _written(value, f".{digits}f")


def change(value: Interval | None, digits: int = 2) -> str:
    """ "-1.20 [-1.55, -0.80]"."""
    return "" if value is None else _written(value, f"+.{digits}f")


def _written(value: Interval, form: str) -> str:
    return f"{value.value:{form}} [{value.low:{form}}, {value.high:{form}}]"
