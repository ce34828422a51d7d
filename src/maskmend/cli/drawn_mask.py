"""Options of `maskmend inpaint` for masks without a file (boxes, colours) and for the context box."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from maskmend.masks.box import Box
    from maskmend.masks.drawn import DrawnMask

BOX = "X,Y,WIDTH,HEIGHT"


def drawn_mask_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options."""
    options = (
        click.option(
            "--mask-box",
            "mask_boxes",
            multiple=True,
            metavar=BOX,
            help="Fill this box of pixels, beside what other masks say or without any; several times.",
        ),
        click.option(
            "--mask-color",
            "mask_colors",
            multiple=True,
            metavar="COLOR",
            help="Fill what is painted on IMAGE in this colour, such as '#ff00ff' or magenta; likewise.",
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
            help="Show the model this box of the picture only, which holds the hole; nothing outside it "
            "plays a part.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_drawn(
    boxes: tuple[str, ...], colours: tuple[str, ...], tolerance: int, context: str | None
) -> "tuple[DrawnMask, Box | None]":
    """The values of these options. Raises ConfigError, also for a tolerance without a colour."""
    from maskmend.cli.options import refuse_options
    from maskmend.masks.drawn import CONTEXT_BOX, DrawnMask, read_box

    if not colours:
        refuse_options("a fill without --mask-color", {"tolerance": ""})
    drawn = DrawnMask.read(boxes, colours, tolerance)
    return drawn, None if context is None else read_box(context, CONTEXT_BOX)
