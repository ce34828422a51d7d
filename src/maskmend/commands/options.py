"""What several commands share: paths, settings of a fill, a word while it works."""

from pathlib import Path
from typing import Any

import click

from maskmend.errors import ConfigError

PATH = click.Path(path_type=Path)
SEED = click.IntRange(min=0)


def settings_of(pipe: Any, given: dict[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """The settings of a call, known to be settings and not other arguments of it (--set seed=1)."""
    from maskmend.config import override

    chosen = given | override({}, assignments)
    pipe.defaults.changed(**chosen)
    return chosen


def refuse_options(with_what: str, names: dict[str, str]) -> None:
    """Raises ConfigError when one of the options `names` (parameter: how it is written) was given."""
    context = click.get_current_context()
    for name, written in names.items():
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = written or f"--{name.replace('_', '-')}"
            raise ConfigError(f"{with_what} has no use for {option}: leave it out")


def working(text: str) -> Any:
    from rich.console import Console

    return Console(stderr=True).status(text)
