"""The command line: `maskmend inpaint`, `train`, `weights`, ... Nothing here imports torch before it is needed."""

import sys
from pathlib import Path

import click

from maskmend import __version__
from maskmend.errors import MaskmendError


class Group(click.Group):
    """Prints our own errors as one line and exits with status 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except MaskmendError as error:
            click.secho(f"maskmend: {error}", fg="red", err=True)
            sys.exit(2)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="maskmend")
def main() -> None:
    """Fills holes in images with masked token modelling (MaskGIT)."""


@main.command()
@click.argument("stage", type=click.Choice(["tokenizer", "transformer"]))
@click.option("--config", "config_path", required=True, type=click.Path(path_type=Path), help="The recipe, a TOML file.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run (default: runs/NAME-OF-RECIPE).")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Changes one setting: training.steps=500.")
@click.option("--restart", is_flag=True, help="Begins anew even if the folder holds a run.")
def train(stage: str, config_path: Path, out: Path | None, assignments: tuple[str, ...], restart: bool) -> None:
    """Trains the tokenizer (stage 1) or the transformer (stage 2); resumes where it stopped."""
    from maskmend.training.progress import train_with_progress

    train_with_progress(stage, config_path, out or Path("runs") / config_path.stem, assignments, restart)
