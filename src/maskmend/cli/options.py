"""Options, paths and output that several commands share."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maskmend.errors import ConfigError
from maskmend.settings import PRECISIONS

if TYPE_CHECKING:
    from maskmend.pipeline import InpaintPipeline

PATH = click.Path(path_type=Path)
SEED = click.IntRange(min=0)


def listed(names: Sequence[str]) -> str:
    """ "a, b or c", for the help of an option."""
    return f"{', '.join(names[:-1])} or {names[-1]}"


DEVICE = click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps, or auto.")
PRECISION = click.option(
    "--precision", default="auto", show_default=True, help=f"Of the model: {listed(PRECISIONS)}."
)
ASSIGNMENTS = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the fills: --set steps=8."
)
REPEATS = click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Bootstrap draws of the intervals.",
)
MASK_FOLDER = click.option(
    "--masks", type=PATH, help="Folder of masks, white = filled (default: random walks of seed 0)."
)
MIGAN = click.option("--migan", type=PATH, help="MI-GAN's ONNX file, for the comparison.")


class PathOrUrl(click.Path):
    """A path, or a URL that is kept as it is written."""

    name = "path or url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if "://" in str(value) else super().convert(value, param, ctx)


PLACE = PathOrUrl(path_type=Path)


@dataclass(frozen=True, kw_only=True)
class Filler:
    """The model that a command fills with, and how."""

    model: str
    device: str
    precision: str
    given: dict[str, Any]
    """Settings that have options or a preset of their own."""
    assignments: tuple[str, ...]
    """--set"""

    def load(self) -> tuple["InpaintPipeline", dict[str, Any]]:
        """The pipeline and its settings, known to be settings and not other arguments (--set seed=1)."""
        from maskmend.cli.collection import resume_collection
        from maskmend.config import override
        from maskmend.settings import Settings

        chosen = self.given | override({}, self.assignments, "steps=8")
        # Invalid values are refused before the model loads; a sweet spot is checked against the model's
        # steps.
        Settings().changed(**{name: value for name, value in chosen.items() if name != "sweet_spot"})

        from maskmend.inference.devices import pick_device
        from maskmend.pipeline import InpaintPipeline

        pipe = InpaintPipeline.from_pretrained(self.model, precision=self.precision)
        pipe = pipe.to(pick_device(self.device))
        resume_collection()
        pipe.labels_for(pipe.defaults.changed(**chosen))  # a folder would fail picture by picture
        return pipe, chosen


class Choice(click.Choice):
    """One of several words; the error for any other is worded as that for a setting."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            from maskmend.choices import choice_error

            written = "value" if param is None else param.human_readable_name
            if isinstance(param, click.Option):
                written = max(param.opts, key=len)
            raise click.UsageError(choice_error(written, value, self.choices), ctx) from None


class Commands(click.Group):
    """A group whose help shows the full first sentence of each command, and whose error for an unknown one
    names the nearest."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            from maskmend.choices import nearest

            known = [known for known in self.list_commands(ctx) if not self.commands[known].hidden]
            raise click.UsageError(f"No such command {name!r}{nearest(name, known)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [
            (name, self.commands[name].get_short_help_str(limit=1000))
            for name in self.list_commands(ctx)
            if not self.commands[name].hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class SettingOption(click.Option):
    """An option that is a setting of the fill: its default is the model's."""

    def get_help_extra(self, ctx: click.Context) -> Any:
        from maskmend.assets import DEFAULT

        extra = super().get_help_extra(ctx)
        extra["default"] = f"the model's; {DEFAULT}: {default_settings()[str(self.name)]}"
        return extra


def default_settings() -> dict[str, Any]:
    """The settings of the default model, all of them, without loading it."""
    from maskmend.assets import ASSETS, DEFAULT
    from maskmend.settings import Settings

    index = json.loads((ASSETS / DEFAULT / "model_index.json").read_text(encoding="utf-8"))
    return asdict(Settings()) | index["defaults"]


def refuse_options(with_what: str, names: dict[str, str]) -> None:
    """Raises ConfigError when one of the options `names` (parameter: how it is written) was given."""
    context = click.get_current_context()
    for name, written in names.items():
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = written or f"--{name.replace('_', '-')}"
            raise ConfigError(f"{with_what} does not take {option}: leave it out")


def seen_by_a_person() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def working(text: str) -> Any:
    """Shows `text` on standard error while something takes long, if that is a terminal."""
    if not seen_by_a_person():
        return nullcontext(_NoStatus())
    from rich.console import Console

    return Console(stderr=True).status(text)


def announce(text: str) -> None:
    """A line on standard error, above the one of `working`.

    `click.echo` would write after that one: it bypasses rich, which replaces `sys.stderr` meanwhile.
    """
    if sys.stderr is not None:  # with 2>&-
        print(text, file=sys.stderr, flush=True)


class _NoStatus:
    """In place of the status line where there is no terminal."""

    def update(self, text: str) -> None:
        pass
