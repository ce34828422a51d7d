"""`maskmend completion`: shell completion of commands, options and their values.

click computes the completions when the shell asks for them (`_MASKMEND_COMPLETE`), without loading PyTorch.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from maskmend.cli.options import Choice

PROGRAM = "maskmend"
WHERE = {
    "bash": 'eval "$(maskmend completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(maskmend completion zsh)" in ~/.zshrc',
    "fish": "maskmend completion fish > ~/.config/fish/completions/maskmend.fish",
}


@click.command()
@click.argument("shell", type=Choice(list(WHERE)))
def completion(shell: str) -> None:
    """Prints what makes a shell complete maskmend's commands, options and their values.

    \b
    bash: eval "$(maskmend completion bash)" in ~/.bashrc
    zsh: eval "$(maskmend completion zsh)" in ~/.zshrc
    fish: maskmend completion fish > ~/.config/fish/completions/maskmend.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    script = kind(click.get_current_context().find_root().command, {}, PROGRAM, "_MASKMEND_COMPLETE")
    # bash's version is not checked: the shell of whoever installs a program may not be that of its user.
    click.echo(script.source_template % script.source_vars())


def shipped_models() -> list[str]:
    from maskmend.assets import ASSETS

    return sorted(path.parent.name for path in ASSETS.glob("*/model_index.json"))


def choices(values: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(value) for value in values if value.startswith(incomplete)]


def complete_model(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of shipped models, and folders."""
    found = choices(["default", *shipped_models()], incomplete)
    return found or [CompletionItem(incomplete, type="dir")]


def complete_setting(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completes a setting's name for --set, and after = its values if there are few."""
    from maskmend.cli.options import default_settings

    name, equals, value = incomplete.partition("=")
    if not equals:
        return choices((f"{each}=" for each in default_settings()), name)
    return [CompletionItem(f"{name}={each.value}") for each in choices(values_of(name), value)]


def complete_value(_: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The values of an option that is a setting."""
    return choices(values_of(str(parameter.name)), incomplete)


def values_of(setting: str) -> tuple[str, ...]:
    from maskmend import settings

    others = {"detail": settings.DETAILS, "label": ("auto",), "precision": settings.PRECISIONS}
    return (settings.CHOICES_OF | others).get(setting, ())


COMPLETE: dict[str, Any] = {
    "model": complete_model,
    "photo_model": complete_model,
    "models": complete_model,
    "assignments": complete_setting,
    "device": lambda *given: choices(("cpu", "cuda", "mps", "auto"), given[-1]),
    **dict.fromkeys(("schedule", "order", "seam", "infill", "label", "precision"), complete_value),
}
"""Completion by parameter name, for parameters whose values click does not know."""


def _completed(parameter: click.Parameter, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    return COMPLETE[str(parameter.name)](ctx, parameter, incomplete)


def add_completions(command: click.Command) -> None:
    """Adds the completions in `COMPLETE` to the parameters of a command and of its subcommands."""
    for parameter in command.params:
        if parameter.name in COMPLETE and not isinstance(parameter.type, click.Choice | click.Path):
            parameter.shell_complete = partial(_completed, parameter)
    for inner in getattr(command, "commands", {}).values():
        add_completions(inner)
