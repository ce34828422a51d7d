"""How a result is displayed in a notebook: the best picture, or all samples side by side."""

import base64
import io
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from maskmend.fill.result import Inpainted

LARGEST = 1024
"""Longest side in pixels of what is shown: a notebook keeps it in its file."""
SIDE = 256
"""The same of one among several."""


def png_of(result: "Inpainted") -> bytes:
    """The best sample as PNG, scaled down to `LARGEST`."""
    return _png(result.images[result.best], LARGEST)


def html_of(result: "Inpainted") -> str | None:
    """All samples with their seeds, the best marked; None for a single one, which is shown as PNG."""
    if len(result.seeds) == 1:
        return None
    figures = []
    for number, (image, seed) in enumerate(zip(result.images, result.seeds, strict=True)):
        content = base64.b64encode(_png(image, SIDE)).decode("ascii")
        words = f"seed {seed}" + (" (best)" if number == result.best else "")
        figures.append(
            f'<figure style="display:inline-block;margin:4px"><img alt="{words}" '
            f'src="data:image/png;base64,{content}"><figcaption>{words}</figcaption></figure>'
        )
    return f"<div>{''.join(figures)}</div>"


def _png(image: Image.Image, side: int) -> bytes:
    shown = image.copy()
    shown.info = {}  # EXIF does not belong in a notebook's file
    shown.thumbnail((side, side))
    content = io.BytesIO()
    shown.save(content, "PNG")
    return content.getvalue()
