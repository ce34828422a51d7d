"""Callbacks of a fill, in one object; each is called in the thread of the fill."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskmend.decoding.loop import Step

if TYPE_CHECKING:
    from maskmend.fill.levels import LevelProgress
    from maskmend.fill.preview import Preview
    from maskmend.fill.result import Inpainted


@dataclass(frozen=True, kw_only=True)
class FillEvents:
    """Callbacks of a fill; those that are None are not called. An exception in one ends the fill."""

    on_step: Callable[[Step], object] | None = None
    """Called with each decoding `Step`, over the windows that are decoded together, times samples."""
    on_preview: "Callable[[Preview], object] | None" = None
    """Called after each step with a `Preview`, which can draw the current state of a fill."""
    on_level: "Callable[[LevelProgress], object] | None" = None
    """Called before a wide hole is refilled at finer scales, after each batch of windows, and after each
    scale, then with the picture."""
    on_result: "Callable[[int, Inpainted], object] | None" = None
    """Called with an image's index in the batch and its result as soon as it is complete; an image with many
    windows does not delay the others."""
