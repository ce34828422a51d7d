"""Options of `maskmend inpaint` for masks without a file (boxes, colours) and for the context box."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from maskmend.masks.box import Box
    from maskmend.masks.painted import PaintedMask

BOX = "X,Y,WIDTH,HEIGHT"


def painted_mask_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options."""
    options = (
        click.option(
            "--mask-box",
            "mask_boxes",
            multiple=True,
            metavar=BOX,
            help="Fill this box of pixels, in addition to other masks or without any; can be repeated.",
        ),
        click.option(
            "--mask-color",
            "mask_colors",
            multiple=True,
            metavar="COLOR",
            help="Fill what is painted on IMAGE in this colour, such as '#ff00ff' or magenta; can be "
            "repeated.",
        ),
        click.option(
            "--tolerance",
            type=click.IntRange(0, 255),
            default=8,
            show_default=True,
            help="With --mask-color: levels, of 255, by which red, green and blue may differ from it.",
        ),
        click.option(
            "--context-box",
            metavar=BOX,
            help="Show the model only this box of the picture, which must contain the hole.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_painted(
    boxes: tuple[str, ...], colours: tuple[str, ...], tolerance: int, context: str | None
) -> "tuple[PaintedMask, Box | None]":
    """The values of these options. Raises ConfigError, also for a tolerance without a colour."""
    from maskmend.cli.options import refuse_options
    from maskmend.masks.painted import CONTEXT_BOX, PaintedMask, read_box

    if not colours:
        refuse_options("a fill without --mask-color", {"tolerance": ""})
    painted = PaintedMask.read(boxes, colours, tolerance)
    return painted, None if context is None else read_box(context, CONTEXT_BOX)
