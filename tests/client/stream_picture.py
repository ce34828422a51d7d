"""The documents' picture of the client's stream: each step of a fill as `Client.stream` tells of it.

maskmend serve --model cats64 --port 8765 &
PYTHONPATH=src python tests/client/stream_picture.py http://127.0.0.1:8765 docs/images/client.png
"""

import io
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from maskmend.assets.samples import sample_pairs
from maskmend.client import Client, FillMade, Step

SCALE, GAP, BELOW = 3, 10, 26
PAPER, INK, VEIL = "#faf9f6", "#202024", (229, 40, 72, 97)
SHOWN = (1, 2, 4, 6)
"""Steps."""


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def veiled(picture: Image.Image, step: Step) -> Image.Image:
    """The picture at a step, with a veil over the tokens that are still masked."""
    picture = picture.copy()
    (fill,) = step.fills
    box = step.width, step.height
    picture.paste(opened(fill.content).resize(box, Image.Resampling.BICUBIC), (step.left, step.top))
    picture = enlarged(picture)
    veil = Image.new("RGBA", picture.size)
    pen = ImageDraw.Draw(veil)
    wide, high = (SCALE * size / len(fill.hidden) for size in box)
    for row, cells in enumerate(fill.hidden):
        for column, cell in enumerate(cells):
            if cell == "1":
                x, y = SCALE * step.left + column * wide, SCALE * step.top + row * high
                pen.rectangle((x + 1, y + 1, x + wide - 2, y + high - 2), fill=VEIL)
    return Image.alpha_composite(picture.convert("RGBA"), veil).convert("RGB")


def enlarged(picture: Image.Image) -> Image.Image:
    return picture.resize((SCALE * picture.width, SCALE * picture.height), Image.Resampling.NEAREST)


def main(url: str, target: Path) -> None:
    _, image, mask = sample_pairs()[0]
    picture = Image.open(image).convert("RGB")
    cells: list[tuple[str, Image.Image]] = []
    with Client(url) as client:
        for event in client.stream(image, mask, samples=1, seed=0):
            match event:
                case Step() if event.step in SHOWN:
                    cells.append((f"Step {event.step} of {event.steps}", veiled(picture, event)))
                case FillMade(fill=fill):
                    cells.append(("FillMade", enlarged(opened(fill.content))))
    wide, high = cells[0][1].size
    strip = Image.new("RGB", (len(cells) * (wide + GAP) + GAP, high + 2 * GAP + BELOW), PAPER)
    pen = ImageDraw.Draw(strip)
    for number, (words, cell) in enumerate(cells):
        left = GAP + number * (wide + GAP)
        strip.paste(cell, (left, GAP))
        pen.text((left, GAP + high + 6), words, fill=INK, font_size=15)
    strip.save(target, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
