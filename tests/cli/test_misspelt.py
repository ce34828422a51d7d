"""A misspelt command or choice is told as a misspelt setting is: value, choices, the nearest one."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from maskmend.cli import main
from maskmend.cli.options import Choice, Commands


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("train trnsformer", "STAGE = 'trnsformer': choose one of 'tokenizer', 'transformer', 'decoder' "
         "(did you mean 'transformer'?) (see: maskmend train --help)"),
        ("inpaint a.png -o b.png --mask-channel alpah", "--mask-channel = 'alpah': choose one of 'auto', "
         "'luma', 'alpha' (did you mean 'alpha'?) (see: maskmend inpaint --help)"),
        ("serve --engine rey", "--engine = 'rey': choose one of 'local', 'ray' (did you mean 'ray'?) "
         "(see: maskmend serve --help)"),
        ("completion cmd", "SHELL = 'cmd': choose one of 'bash', 'zsh', 'fish' "
         "(see: maskmend completion --help)"),
        ("inpant", "No such command 'inpant' (did you mean 'inpaint'?) (see: maskmend --help)"),
        ("weights fecth", "No such command 'fecth' (did you mean 'fetch'?) (see: maskmend weights --help)"),
        ("data indx", "No such command 'indx' (did you mean 'index'?) (see: maskmend data --help)"),
        ("convert haltn", "No such command 'haltn' (did you mean 'halton'?) (see: maskmend convert --help)"),
        ("weights xyz", "No such command 'xyz' (known: fetch) (see: maskmend weights --help)"),
    ],
)  # fmt: skip
def test_the_nearest_is_named(words: str, told: str) -> None:
    """Catches "'trnsformer' is not one of ...", which leaves the reader to compare."""
    result = CliRunner().invoke(main, words.split(), prog_name="maskmend")
    assert (result.exit_code, result.stderr) == (2, f"maskmend: {told}\n")


def commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from commands(inner)


def test_every_group_and_choice_has_the_rule() -> None:
    """Catches a new command whose choices are click's own, with click's words."""
    choices = 0
    for command in commands(main):
        if isinstance(command, click.Group):
            assert isinstance(command, Commands), command.name
        for parameter in command.params:
            if isinstance(parameter.type, click.Choice):
                assert isinstance(parameter.type, Choice), (command.name, parameter.name)
                choices += 1
    assert choices > 5
