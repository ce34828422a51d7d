"""The command group, and how errors are reported."""

import contextlib
import os
import sys
from typing import Any, NoReturn

import click

from maskmend import __version__
from maskmend.cli.benchmark import bench
from maskmend.cli.completion import add_completions, completion
from maskmend.cli.convert import convert
from maskmend.cli.data import data
from maskmend.cli.demo_command import demo
from maskmend.cli.doctor import doctor
from maskmend.cli.evaluate import evaluate
from maskmend.cli.export import export
from maskmend.cli.inpaint import inpaint
from maskmend.cli.masks import masks
from maskmend.cli.models import calibrate, pack, train, weights
from maskmend.cli.options import Commands
from maskmend.cli.photographs import photographs
from maskmend.cli.reproduce import reproduce
from maskmend.cli.serve import serve
from maskmend.cli.study import study
from maskmend.errors import MaskmendError

NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click raises to show the help; older releases print it without."""


class Group(Commands):
    """Prints our own errors and usage errors as one line and exits with status 2."""

    def make_context(self, *given: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*given, **options)
        except NO_ARGUMENTS:
            raise
        except click.UsageError as error:
            _refuse(f"{error.format_message()} (see: maskmend --help)")

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except MaskmendError as error:
            _refuse(str(error))
        except BrokenPipeError:
            # The interpreter flushes what is left when it exits, and would report that error as well.
            with contextlib.suppress(OSError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _refuse("the program that reads standard output closed it before all of it was written")
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _refuse(f"{where}{error.strerror or error}; check the path, its permissions and free space")
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "allocate" not in str(error):
                raise
            _refuse("there is not enough memory for this: ask for fewer samples, smaller pictures or batches")
        except NO_ARGUMENTS:
            raise
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else ctx.command_path
            _refuse(f"{error.format_message()} (see: {command} --help)")


def _refuse(message: str) -> NoReturn:
    """Some messages quote a library's, which may run over several lines."""
    click.secho(f"maskmend: {' '.join(message.split())}", fg="red", err=True)
    sys.exit(2)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="maskmend")
def main() -> None:
    """Fills holes in images with masked token modelling (MaskGIT)."""


for command in (
    inpaint,
    serve,
    demo,
    train,
    data,
    pack,
    calibrate,
    convert,
    weights,
    masks,
    evaluate,
    reproduce,
    study,
    photographs,
    bench,
    export,
    doctor,
    completion,
):
    main.add_command(command)
add_completions(main)
