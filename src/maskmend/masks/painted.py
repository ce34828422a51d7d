"""Masks without a file: boxes, and areas painted on the picture in a colour.

    boxes, colours, picture ─► mask (H, W), True = to be filled; combined with that of a file, if any

A box outside the picture, or a colour that does not occur in it, is an error, not an empty mask.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, UInt8

from maskmend.errors import ConfigError, MaskError
from maskmend.masks.box import Box

if TYPE_CHECKING:  # errors on the command line are reported before PyTorch is loaded
    from maskmend.images.picture import Picture

CONTEXT_BOX = "--context-box"
"""What the box of `fill.context_box` is called in errors."""
BOX = "X,Y,WIDTH,HEIGHT in pixels, such as 10,20,200,80"
_NUMBERS = re.compile(r"\s*(\d{1,7})\s*,\s*(\d{1,7})\s*,\s*(\d{1,7})\s*,\s*(\d{1,7})\s*", re.ASCII)


def read_box(text: str, option: str) -> Box:
    """``10,20,200,80``, the corner at left and top, width and height, as a box.

    Raises ConfigError, which calls the box `option`.
    """
    found = _NUMBERS.fullmatch(text)
    if found is None:
        raise ConfigError(f"{option} {text[:60]!r}: write {BOX}")
    left, top, width, height = map(int, found.groups())
    if width == 0 or height == 0:
        raise ConfigError(f"{option} {text[:60]}: a box of {width} x {height} holds no pixel, write {BOX}")
    return Box(top=top, left=left, height=height, width=width)


def read_colour(text: str) -> tuple[int, int, int]:
    """``#ff00ff``, ``#f0f`` or a name of CSS as red, green and blue, 0 to 255. Raises ConfigError."""
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(text.strip())[:3]
    except ValueError:
        raise ConfigError(
            f"--mask-color {text[:40]!r} is no colour: write it as '#ff00ff', or magenta"
        ) from None


def written(box: Box) -> str:
    """A box as `read_box` reads it."""
    return f"{box.left},{box.top},{box.width},{box.height}"


@dataclass(frozen=True, kw_only=True)
class PaintedMask:
    """Areas to fill in addition to a mask file, or without one."""

    boxes: tuple[Box, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    """Red, green and blue of what is painted on the picture."""
    tolerance: int = 8
    """Levels, 0 to 255, by which each of a pixel's channels may differ from a colour."""

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance <= 255:
            raise ConfigError(f"--tolerance {self.tolerance}: give 0 to 255")

    @classmethod
    def read(cls, boxes: tuple[str, ...], colours: tuple[str, ...], tolerance: int) -> "PaintedMask":
        """From the command line's words. Raises ConfigError."""
        return cls(
            boxes=tuple(read_box(text, "--mask-box") for text in boxes),
            colours=tuple(map(read_colour, colours)),
            tolerance=tolerance,
        )

    def __bool__(self) -> bool:
        return bool(self.boxes or self.colours)

    def described(self) -> dict[str, object]:
        """For manifests; empty if nothing is painted."""
        if not self:
            return {}
        return {
            "mask_box": [written(box) for box in self.boxes],
            "mask_color": [_hexadecimal(colour) for colour in self.colours],
            "tolerance": self.tolerance,
        }

    def hole(self, picture: "Picture") -> Bool[np.ndarray, "H W"]:
        """Which pixels of the picture are filled. Raises MaskError where a box or colour finds none.

        A pixel without opacity has no colour.
        """
        height, width = picture.pixels.shape[:2]
        hole = np.zeros((height, width), dtype=bool)
        for box in self.boxes:
            check_inside(box, height, width, "--mask-box")
            hole[box.slices] = True
        for colour in self.colours:
            hole |= self._painted(picture, colour)
        return hole

    def joined(
        self, picture: "Picture", mask: Bool[np.ndarray, "H W"] | None
    ) -> Bool[np.ndarray, "H W"] | None:
        """`mask` and what is painted; None where neither is given. Raises MaskError."""
        if not self:
            return mask
        hole = self.hole(picture)
        return hole if mask is None else hole | mask

    def _painted(self, picture: "Picture", colour: tuple[int, int, int]) -> Bool[np.ndarray, "H W"]:
        differences = _differences(picture.pixels, colour)
        if picture.alpha is not None:
            differences = np.where(picture.alpha > 0, differences, np.uint8(255))
        found = differences <= self.tolerance
        if picture.alpha is not None:
            found &= picture.alpha > 0
        if not found.any():
            nearest = int(differences.min())
            raise MaskError(
                f"no pixel is within {self.tolerance} of {_hexadecimal(colour)}, the nearest is {nearest} "
                f"away: check --mask-color, or give --tolerance {nearest}"
            )
        return found


NOTHING_PAINTED = PaintedMask()


def check_inside(box: Box, height: int, width: int, option: str) -> None:
    """Raises MaskError for a box that is not all within a picture of this size."""
    if box.left + box.width > width or box.top + box.height > height:
        raise MaskError(
            f"{option} {written(box)} reaches to {box.left + box.width} x {box.top + box.height}, the "
            f"picture is {width} x {height}: write {BOX}"
        )


def _differences(
    pixels: UInt8[np.ndarray, "H W 3"], colour: tuple[int, int, int]
) -> UInt8[np.ndarray, "H W"]:
    """The largest difference of each pixel's channels from a colour's."""
    largest = np.zeros(pixels.shape[:2], np.uint8)
    for channel, level in enumerate(colour):
        own = pixels[:, :, channel]
        np.maximum(largest, np.maximum(own, level) - np.minimum(own, level), out=largest)
    return largest


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{level:02x}" for level in colour)
