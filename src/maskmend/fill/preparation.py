"""Reads a picture with its mask and guide from files and prepares them for a fill.

image ─ extend ─► picture          mask file, boxes, colours ─ extend, grow ─► mask          guide
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from maskmend.errors import ConfigError, ImageError
from maskmend.fill.context_box import cut_to_box
from maskmend.fill.guide import as_guide
from maskmend.images.canvas import extend_canvas, margins_of, read_extension
from maskmend.images.opening import MAX_PIXELS
from maskmend.images.picture import Picture, load_image, read_image
from maskmend.masks.box import Box
from maskmend.masks.morphology import grow
from maskmend.masks.options import MaskOptions
from maskmend.masks.painted import PaintedMask, written
from maskmend.masks.reading import load_mask, read_mask

Source = Path | bytes
"""A file, or its content."""
LARGE = 1_000_000
"""A length of which any percentage is at least one pixel."""
NO_GUIDE = "no guide of that name"


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    picture: Picture
    """On its larger canvas, if it is extended."""
    mask: Bool[np.ndarray, "H W"]
    guide: Picture | None
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How it is done, the same for all pictures."""

    reading: MaskOptions = field(default_factory=MaskOptions)
    growth: int = 0
    painted: PaintedMask = field(default_factory=PaintedMask)
    """Boxes are in coordinates of the original picture, not of the extended one."""
    extend: str | None = None
    """Such as "left=200,right=10%"."""
    context_box: Box | None = None
    """Of the extended picture."""
    max_pixels: int = MAX_PIXELS
    convert: bool = False

    def __post_init__(self) -> None:
        if self.extend is not None:
            # An invalid extension is reported before the first picture.
            margins_of(LARGE, LARGE, read_extension(self.extend))

    @property
    def needs_no_mask(self) -> bool:
        """Whether there is something to fill without a mask file."""
        return bool(self.painted) or self.extend is not None

    def described(self) -> dict[str, Any]:
        """The rarely used options that determine the pixels of a fill. Those that were not given are left
        out, so that older records still match."""
        record = self.painted.described()
        if self.extend is not None:
            record["extend"] = self.extend
        if self.context_box is not None:
            record["context_box"] = written(self.context_box)
        return record

    def prepare(self, image: Source, mask: Source | None, guide: Source | None) -> Prepared:
        """Raises ImageError, MaskError."""
        before = self._read(image)
        notes: list[str] = []
        hole = None
        if mask is not None:
            read: Any = read_mask if isinstance(mask, bytes) else load_mask
            hole = read(
                mask,
                size=before.pixels.shape[:2],
                options=self.reading,
                note=notes.append,
                max_pixels=self.max_pixels,
            )
        hole, picture = self.painted.joined(before, hole), before
        if self.extend is not None:
            try:
                picture, hole = extend_canvas(before, self.extend, mask=hole, max_pixels=self.max_pixels)
            except ConfigError as error:  # a share of this picture that is less than a pixel
                raise ImageError(str(error)) from error
        assert hole is not None  # the caller gives a mask unless none is needed
        hole = grow(hole, self.growth)
        if self.context_box is not None:
            cut_to_box(picture, hole, self.context_box)
        painted = None if guide is None else self._read_guide(guide, hole, notes)
        return Prepared(picture=picture, mask=hole, guide=painted, notes=tuple(notes))

    def _read(self, source: Source) -> Picture:
        read: Any = read_image if isinstance(source, bytes) else load_image
        return read(source, max_pixels=self.max_pixels, convert=self.convert)

    def _read_guide(self, source: Source, mask: Bool[np.ndarray, "H W"], notes: list[str]) -> Picture | None:
        try:
            picture = self._read(source)
        except ImageError as error:
            raise ImageError(f"the guide cannot be used: {error}") from error
        if as_guide(picture, mask) is None:
            notes.append("the guide paints nothing into the hole")
        return picture
