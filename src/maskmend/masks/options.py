"""Options of reading a mask: polarity, channel, threshold and size."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from maskmend.choices import choice_error
from maskmend.errors import ConfigError

Channel = Literal["auto", "luma", "alpha"]
PhotoCheck = Literal["warn", "refuse", "off"]


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    threshold: float = 0.5
    """Brightness, above 0 and up to 1, from which a pixel is filled."""
    invert: bool = False
    """Fill black instead of white. Applied last, to the result of any channel."""
    channel: Channel = "auto"
    """``luma``: brightness, alpha ignored. ``alpha``: transparency, that is 1 - alpha takes the place of
    brightness: transparent = fill. ``auto``: alpha if any of it is transparent, else luma; so white strokes
    painted on a transparent layer need ``luma``, or `invert`."""
    fit: bool = False
    """Resize a mask of another size to its image, to the nearest pixel."""
    photo_check: PhotoCheck = "warn"
    """For a mask that looks like a photograph, usually because image and mask were swapped: "warn", "refuse",
    or "off" (no check)."""

    def described(self) -> dict[str, Any]:
        """Everything that determines the mask's pixels, for manifests."""
        names = ("threshold", "fit", "invert", "channel")  # the photo check changes no pixel
        return {f"mask_{name}": getattr(self, name) for name in names}

    def __post_init__(self) -> None:
        if not (0 < self.threshold <= 1 and math.isfinite(self.threshold)):
            raise ConfigError(f"mask threshold is {self.threshold}: give a number above 0, at most 1.")
        if self.channel not in get_args(Channel):
            raise ConfigError(choice_error("mask channel", self.channel, get_args(Channel)))
        if self.photo_check not in get_args(PhotoCheck):
            raise ConfigError(choice_error("mask photo check", self.photo_check, get_args(PhotoCheck)))
