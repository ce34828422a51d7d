"""Rectangles of whole pixels."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle of whole pixels inside an image."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an (H, W, ...) array: ``image[box.slices]``."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def within(self, frame: "Box") -> "Box":
        """The same rectangle, counted from the corner of `frame`."""
        return replace(self, top=self.top - frame.top, left=self.left - frame.left)
