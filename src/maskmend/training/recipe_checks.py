"""Checks of a recipe's settings: bounds, choices, weights of which at least one must be positive."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from maskmend.choices import choice_error
from maskmend.errors import ConfigError


def check_bounds(table: str, config: Any, bounds: dict[str, tuple[int | float, int | float]]) -> None:
    """Raises ConfigError for a setting outside its (lowest, highest), both allowed; NaN is outside all."""
    for name, (lowest, highest) in bounds.items():
        value = getattr(config, name)
        if not (lowest <= value <= highest and math.isfinite(value)):
            wanted = (
                f"at least {lowest:g}" if highest == math.inf else f"a value from {lowest:g} to {highest:g}"
            )
            raise ConfigError(f"{table}.{name} = {value}: choose {wanted}")


def check_one_counts(table: str, config: Any, names: tuple[str, ...]) -> None:
    """Raises ConfigError when all of these weights are 0."""
    if not any(getattr(config, name) > 0 for name in names):
        raise ConfigError(f"{table}: the weights of {', '.join(names)} are all 0: give one a positive weight")


def check_choices(table: str, config: Any, choices: Mapping[str, Iterable[str]]) -> None:
    """Raises ConfigError for a setting that is none of its choices."""
    for name, known in choices.items():
        value = getattr(config, name)
        if value not in known:
            raise ConfigError(choice_error(f"{table}.{name}", value, known))
