"""What the load run asks for: pictures, masks and settings, and whether an answer to them is right.

Fixed cases are filled alone first, and every later answer must be the same to the bit. Fresh ones are made at
random, so that the server meets shapes it has never seen; they are asked for twice and must agree.
"""

import io
import random
from pathlib import Path

import numpy as np
from PIL import Image

from fuzz_run import multipart

ASSETS = Path(__file__).parents[2] / "src" / "maskmend" / "assets"
SIDE = 96
"""Of the pieces cut from photographs: large enough for context, small enough for many a minute."""


class Case:
    """A picture, a mask and settings, and what the server made of them the first time."""

    def __init__(self, image: bytes, mask: bytes, fields: dict[str, str], name: str = "") -> None:
        self.name = f"{name} {fields}"
        self.image = image
        self.body, self.headers = multipart(image, mask, **fields)
        with Image.open(io.BytesIO(image)) as source, Image.open(io.BytesIO(mask)) as hole:
            self.pixels, self.hole = np.asarray(source.convert("RGB")), np.asarray(hole.convert("L")) > 127
        self.wanted: list[np.ndarray] = []

    def wrong(self, fills: list[bytes]) -> str | None:
        """What is wrong with `fills`, if anything; the first ones ever seen are those wanted."""
        if not self.wanted:
            self.wanted = [pixels_of(fill) for fill in fills]
        if len(fills) != len(self.wanted):
            return f"{len(fills)} fills instead of {len(self.wanted)}"
        for fill, wanted in zip(map(pixels_of, fills), self.wanted, strict=True):
            if fill.shape != self.pixels.shape or (fill[~self.hole] != self.pixels[~self.hole]).any():
                return f"a known pixel has changed: {self.name}"
            if (fill != wanted).any():
                apart = np.abs(fill.astype(int) - wanted)
                return f"{(apart.max(2) > 0).sum()} pixels differ, by up to {apart.max()}: {self.name}"
        return None

    def conversion_wrong(self, content: bytes) -> str | None:
        """What is wrong with this picture written without loss in another format, if anything."""
        return None if np.array_equal(pixels_of(content), self.pixels) else f"conversion of {self.name}"


def pixels_of(content: bytes) -> np.ndarray:
    """(H, W, 3) levels of a picture's file."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def png_of(levels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "PNG", compress_level=1)
    return content.getvalue()


def cases(models: list[str]) -> list[Case]:
    """The shipped faces, whole and within larger pictures, for the first model; pieces of the shipped
    photographs for each of the others."""
    made = []
    for number, path in enumerate(sorted((ASSETS / "samples").glob("*[0-9].png"))):
        image, mask = path.read_bytes(), path.with_name(f"{path.stem}.mask.png").read_bytes()
        fields = {"model": models[0], "seed": str(number)}
        for seed in (0, 11):
            made.append(Case(image, mask, fields | {"samples": "2", "seed": str(seed)}, path.stem))
        made.append(Case(image, mask, fields | {"steps": "4", "order": "halton"}, path.stem))
        large, hole = Image.new("RGB", (300, 200), (90, 120, 150)), Image.new("L", (300, 200))
        large.paste(Image.open(path), (120, 70))
        hole.paste(Image.open(io.BytesIO(mask)).convert("L"), (120, 70))
        large, hole = png_of(np.asarray(large)), png_of(np.asarray(hole))
        made.append(Case(large, hole, fields | {"samples": "2"}, "large"))
    for model in models[1:]:
        for path in sorted((ASSETS / "photographs").glob("*.jpg")):
            pixels = np.asarray(Image.open(path).convert("RGB"))
            hole = np.asarray(Image.open(path.with_name(f"{path.stem}.mask.png")).convert("L"))
            piece = _around(hole > 127)
            fields = {"model": model, "steps": "4", "detail": "0", "windows": "2"}
            made.append(Case(png_of(pixels[piece]), png_of(hole[piece]), fields, path.stem))
    return made


def _around(hole: np.ndarray) -> tuple[slice, slice]:
    """A square in the middle of which a pixel of the hole lies."""
    rows, columns = np.nonzero(hole)
    at = len(rows) // 2
    top, left = (
        min(max(0, int(places[at]) - SIDE // 2), side - SIDE)
        for places, side in ((rows, hole.shape[0]), (columns, hole.shape[1]))
    )
    return slice(top, top + SIDE), slice(left, left + SIDE)


def fresh(rng: random.Random, models: list[str]) -> Case:
    """A smooth picture of any size, a box or a stroke in it, settings as they fall."""
    height, width = rng.randrange(24, 220), rng.randrange(24, 220)
    noise = np.random.default_rng(rng.randrange(2**32))
    coarse = Image.fromarray(noise.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    hole = np.zeros((height, width), np.uint8)
    top, left = rng.randrange(height - 8), rng.randrange(width - 8)
    tall, wide = (rng.randrange(2, 8), width) if rng.random() < 0.3 else (rng.randrange(2, 60),) * 2
    hole[top : top + tall, left : left + wide] = 255
    fields = {
        "model": rng.choice(models),
        "seed": str(rng.randrange(1000)),
        "samples": str(rng.choice((1, 1, 2))),
        "steps": str(rng.randrange(1, 9)),
        "order": rng.choice(("confidence", "random", "halton")),
        "detail": "0",
    }
    return Case(png_of(pixels), png_of(hole), fields, "fresh")


def bulky(model: str) -> Case:
    """An answer of several MiB: more than the buffers between server and a client that does not read."""
    pixels = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    hole = np.zeros((600, 800), np.uint8)
    hole[300:316, 400:416] = 255
    fields = {"model": model, "samples": "4", "steps": "2", "detail": "0"}
    return Case(png_of(pixels), png_of(hole), fields, "bulky")
