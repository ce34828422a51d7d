"""A table of pictures: a row for each image, a column for each method or step."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from maskmend.evaluation.contact_sheet import FAINT, INK, PAPER, fit


@dataclass(frozen=True, kw_only=True)
class PictureRow:
    """The pictures of one row."""

    pictures: Sequence[Image.Image]
    title: str | None = None
    """A line above the pictures. Either all rows of a table have one, or none."""
    notes: Sequence[str] | None = None
    """A line below each picture, likewise."""


def picture_table(
    columns: Sequence[str], rows: Sequence[PictureRow], *, cell: int, gap: int, label: int, font_size: int
) -> Image.Image:
    """The table, with the names of its columns at the top.

    Args:
        columns: name of each column; a row may have fewer pictures.
        rows: one or more.
        cell: side in pixels of the square that each picture is fitted into.
        gap: between squares.
        label: height of a line of text.
        font_size: of all text.
    """
    titled, noted = rows[0].title is not None, rows[0].notes is not None
    height = cell + (titled + noted) * label + gap
    sheet = Image.new("RGB", (gap + len(columns) * (cell + gap), label + len(rows) * height + gap), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(font_size)
    indent = (label - font_size) // 2
    lefts = [gap + number * (cell + gap) for number in range(len(columns))]
    for left, name in zip(lefts, columns, strict=True):
        draw.text((left, indent), name, fill=FAINT, font=font)
    for number, row in enumerate(rows):
        top = label + number * height
        if row.title is not None:
            draw.text((gap, top + indent), row.title, fill=INK, font=font)
            top += label
        for left, picture in zip(lefts, row.pictures, strict=False):
            sheet.paste(fit(picture, cell), (left, top))
        for left, note in zip(lefts, row.notes or (), strict=False):
            draw.text((left, top + cell + indent), note, fill=FAINT, font=font)
    return sheet
