"""Example strips: a row for each selected photograph, a column for each method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from maskmend.evaluation.contact_sheet import HOLE
from maskmend.experiments.picture_table import PictureRow, picture_table

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
    table = []
    for row in rows:
        given = np.where(row.hole[:, :, None], np.array(HOLE, np.uint8), row.truth)
        window = densest(row.hole) if zoom else (slice(None), slice(None))
        shown = [(given, "")] if zoom else []
        shown.append((given[window], ""))
        shown += [(pixels[window], note) for pixels, note in row.fills.values()]
        shown.append((row.truth[window], ""))
        pictures = [Image.fromarray(np.ascontiguousarray(pixels)) for pixels, _ in shown]
        table.append(PictureRow(title=row.title, pictures=pictures, notes=[note for _, note in shown]))
    columns = (["whole"] if zoom else []) + names
    return picture_table(columns, table, cell=CELL, gap=GAP, label=LABEL, font_size=13)


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
