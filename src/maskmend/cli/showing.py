"""`--show`: the picture and its fills in the terminal, if it can show pictures."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from maskmend.images.picture import Picture

MOST = 4
"""Fills that are shown beside the picture."""
NONE = (
    "--show: this terminal shows no pictures, or does not report that it can; kitty, Ghostty, iTerm2, "
    "WezTerm and those with sixel graphics can"
)


def show_pictures(pictures: "list[Picture]") -> None:
    """Shows them side by side, or says that the terminal cannot."""
    from maskmend.cli.terminal_pictures import fitted, in_protocol, terminal_pixels, terminal_protocol
    from maskmend.images.picture import pil_from

    protocol = terminal_protocol()
    if protocol is None:
        click.echo(NONE, err=True)
        return
    strip = fitted([pil_from(picture) for picture in pictures], terminal_pixels())
    sys.stdout.flush()
    sys.stdout.buffer.write(in_protocol(strip, protocol))
    sys.stdout.buffer.flush()
