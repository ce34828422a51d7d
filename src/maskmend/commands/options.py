"""What several commands share: paths, settings of a fill, a word while it works."""

from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)


def settings_of(pipe: Any, given: dict[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """The settings of a call, known to be settings and not other arguments of it (--set seed=1)."""
    from maskmend.config import override

    chosen = given | override({}, assignments)
    pipe.defaults.changed(**chosen)
    return chosen


def working(text: str) -> Any:
    from rich.console import Console

    return Console(stderr=True).status(text)
