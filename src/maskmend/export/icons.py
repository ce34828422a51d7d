"""The site's icons as PNG, which phones need to install an app: the editor's `icon.svg`, drawn with Pillow.

It supports the SVG elements of that file: rectangles with rounded corners, colours, opacity, groups with a
colour.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

SMOOTH = 4
"""Icons are drawn this many times larger, then reduced."""
SAFE = 0.8
"""A launcher may cut a maskable icon to a circle, of at least this share of its side in diameter."""


@dataclass(frozen=True, kw_only=True)
class Rectangle:
    """Lengths are shares of the icon's side; `x` and `y` are the middle, from that of the icon."""

    x: float
    y: float
    width: float
    height: float
    radius: float
    fill: str
    opacity: float

    @property
    def reach(self) -> float:
        """Distance of the farthest corner from the icon's middle."""
        return ((abs(self.x) + self.width / 2) ** 2 + (abs(self.y) + self.height / 2) ** 2) ** 0.5


def icon_png(svg: bytes, side: int, *, maskable: bool = False) -> bytes:
    """A PNG file of `side` x `side` pixels.

    Args:
        svg: the icon; its first rectangle is the background.
        side: in pixels.
        maskable: for launchers that cut icons to a shape of their own: the background fills the square, and
            all else lies within `SAFE`.
    """
    background, *rest = _rectangles(ElementTree.fromstring(svg))
    size = side * SMOOTH
    if maskable:
        picture = Image.new("RGB", (size, size), background.fill)
        scale = min(1.0, SAFE / 2 / max(one.reach for one in rest))
    else:
        picture = Image.new("RGBA", (size, size))
        _draw(picture, background, 1.0)
        scale = 1.0
    for one in rest:
        _draw(picture, one, scale)
    return _png(picture.reduce(SMOOTH))


def _png(picture: Image.Image) -> bytes:
    """With a palette where 256 colours will do: half the size, and the same pixels."""
    pixels = np.asarray(picture.convert("RGBA")).copy().view(np.uint32)[..., 0]
    colours, places = np.unique(pixels, return_inverse=True)
    more = {}
    if len(colours) <= 256:
        table = colours.view(np.uint8).reshape(-1, 4)
        picture = Image.fromarray(places.reshape(pixels.shape).astype(np.uint8)).convert("P")
        picture.putpalette(table[:, :3].tobytes())
        more = {"transparency": table[:, 3].tobytes()}
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, **more)
    return buffer.getvalue()


def _rectangles(
    element: ElementTree.Element, side: float = 0.0, fill: str = "#000000"
) -> Iterator[Rectangle]:
    """The rectangles of an element, from back to front; it inherits the viewBox's side and a colour."""
    given = element.attrib
    if "viewBox" in given:
        side = float(given["viewBox"].split()[2])
    fill = given.get("fill", fill)
    if element.tag.endswith("rect"):
        x, y, width, height, radius = (
            float(given.get(name, 0)) / side for name in ("x", "y", "width", "height", "rx")
        )
        yield Rectangle(
            x=x + width / 2 - 0.5, y=y + height / 2 - 0.5, width=width, height=height, radius=radius,
            fill=fill, opacity=float(given.get("opacity", 1)),
        )  # fmt: skip
    for child in element:
        yield from _rectangles(child, side, fill)


def _draw(picture: Image.Image, one: Rectangle, scale: float) -> None:
    unit = picture.width * scale
    x, y = (picture.width / 2 + middle * unit for middle in (one.x, one.y))
    width, height = one.width * unit, one.height * unit
    box = (x - width / 2, y - height / 2, x + width / 2 - 1, y + height / 2 - 1)  # the last pixel is within
    cover = Image.new("L", picture.size)
    ImageDraw.Draw(cover).rounded_rectangle(box, one.radius * unit, fill=round(255 * one.opacity))
    picture.paste(one.fill, (0, 0), cover)
