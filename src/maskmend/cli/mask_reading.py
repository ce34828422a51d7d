"""Options of `maskmend inpaint` that say how a mask file is read, and how far the hole grows beyond it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from maskmend.cli.options import Choice

if TYPE_CHECKING:
    from maskmend.masks.options import MaskOptions


def mask_reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options."""
    options = (
        click.option(
            "--grow",
            "growth",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Grow the hole by this many pixels.",
        ),
        click.option("--fit-mask", is_flag=True, help="Resize the mask to the image."),
        click.option("--invert-mask", is_flag=True, help="Black is filled (the coursework's polarity)."),
        click.option(
            "--mask-channel", type=Choice(["auto", "luma", "alpha"]), default="auto", show_default=True
        ),
        click.option(
            "--mask-threshold",
            type=float,
            default=0.5,
            show_default=True,
            help="Brightness from which grey is filled, up to 1.",
        ),
        click.option(
            "--mask-photo-check",
            type=Choice(["warn", "refuse", "off"]),
            default="warn",
            show_default=True,
            help="What happens to a mask that looks like a photograph.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def mask_options(fit: bool, invert: bool, channel: Any, threshold: float, photo_check: Any) -> "MaskOptions":
    """The values of these options, but for --grow. Raises ConfigError."""
    from maskmend.masks.options import MaskOptions

    return MaskOptions(
        threshold=threshold,
        fit=fit,
        invert=invert,
        channel=channel,
        photo_check=photo_check,
    )
