"""Example strips: a row for each selected photograph, a column for each method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw, ImageFont

from maskmend.evaluation.contact_sheet import FAINT, HOLE, INK, PAPER, fit

CELL, GAP, LABEL = 256, 8, 20
QUALITY = 88
"""JPEG quality: as PNG, a page of photographs would take tens of megabytes."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One photograph, its hole, and the fill and caption of each method by name."""

    title: str
    truth: UInt8[np.ndarray, "H W 3"]
    hole: Bool[np.ndarray, "H W"]
    fills: Mapping[str, tuple[UInt8[np.ndarray, "H W 3"], str]]


def strip(rows: Sequence[Row], *, zoom: bool = False) -> Image.Image:
    """Input, fills and ground truth at original resolution, `CELL` pixels wide.

    `zoom`: for larger photographs; shows the whole input first, then the same square of `CELL` pixels, with
    the largest part of the hole, from all pictures.
    """
    names = ["input", *rows[0].fills, "truth"]
    columns = len(names) + zoom
    height = CELL + 2 * LABEL + GAP
    sheet = Image.new("RGB", (GAP + columns * (CELL + GAP), LABEL + len(rows) * height), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, name in enumerate((["whole"] if zoom else []) + names):
        draw.text((GAP + column * (CELL + GAP), 3), name, fill=FAINT, font=font)
    for number, row in enumerate(rows):
        top = LABEL + number * height
        draw.text((GAP, top + 2), row.title, fill=INK, font=font)
        given = np.where(row.hole[:, :, None], np.array(HOLE, np.uint8), row.truth)
        window = densest(row.hole) if zoom else (slice(None), slice(None))
        shown = [(given, "")] if zoom else []
        shown.append((given[window], ""))
        shown += [(pixels[window], note) for pixels, note in row.fills.values()]
        shown.append((row.truth[window], ""))
        for column, (pixels, note) in enumerate(shown):
            place = GAP + column * (CELL + GAP), top + LABEL
            sheet.paste(fit(Image.fromarray(np.ascontiguousarray(pixels)), CELL), place)
            draw.text((place[0], place[1] + CELL + 2), note, fill=FAINT, font=font)
    return sheet


def densest(hole: Bool[np.ndarray, "H W"], side: int = CELL) -> tuple[slice, slice]:
    """The square of `side` pixels that contains most of the hole, the first on ties; smaller for small
    pictures."""
    tall, wide = min(side, hole.shape[0]), min(side, hole.shape[1])
    sums = np.pad(hole.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    top, left = (int(n) for n in np.unravel_index(inside.argmax(), inside.shape))
    return slice(top, top + tall), slice(left, left + wide)


def jpeg_bytes(image: Image.Image) -> bytes:
    content = BytesIO()
    image.save(content, "JPEG", quality=QUALITY, subsampling=0)
    return content.getvalue()
