"""Which pictures and holes get a note: false alarms and hits.

    python bench/notices.py --photographs test.tar [--cats cats64/test.tar] [--model photo] [--limit 60]
    python bench/notices.py --photographs val.tar --holes [--limit 60]

Without `--holes`: the share of pictures that are called unlike the training data (`unfamiliar` above 1), by
kind of hole: photographs, cat faces, and pictures that the script draws or takes from `docs/images`. With it:
holes of several widths in photographs, how many of them are called uncertain, and LPIPS of the composited
fills (AlexNet), for us and OpenCV's Telea, of those that are and those that are not. Squares of 256 pixels,
hole number i has the seed 100 + i.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from maskmend.fill.familiarity import hole_uncertainty
from maskmend.images.tensors import to_tensor
from maskmend.masks.generators import HOLES, PHOTOGRAPHIC
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline
from maskmend.training.dataset import ImageSet

SIDE = 256
SCREENS = sorted((Path(__file__).parents[1] / "docs" / "images").glob("editor-*.*"))
WORDS = [
    "a",
    "line",
    "of",
    "words",
    "that",
    "stand",
    "in",
    "letters",
    "or",
    "on",
    "pages",
    "about",
    "pictures",
]
WIDTHS = (24, 48, 72, 96, 120, 144, 176)
FIRST_STEP = {"steps": 1, "detail": 0, "plain": 0.0, "seam": "hard"}
"""Settings for which the notes are the same, and a fill takes the least time."""


def text(rng):
    """A page of words, dark on light or light on dark."""
    size, paper = int(rng.integers(9, 22)), int(rng.choice([20, 40, 240, 250, 255]))
    page = Image.new("RGB", (SIDE, SIDE), (paper,) * 3)
    for top in range(4, SIDE, round(size * 1.35)):
        line = " ".join(rng.choice(WORDS, 14))
        ink = (20, 20, 20) if paper > 128 else (220, 220, 220)
        ImageDraw.Draw(page).text((6, top), line, fill=ink, font=ImageFont.load_default(size))
    return np.asarray(page)


def _large(rng, background):
    """A canvas of twice the size, what draws on it, and a function for corners of random rectangles."""
    canvas = Image.new("RGB", (2 * SIDE, 2 * SIDE), background)

    def corners():
        points = rng.integers(0, 2 * SIDE, (2, 2))
        return [*map(int, points.min(0)), *map(int, points.max(0) + 1)]

    return canvas, ImageDraw.Draw(canvas), corners


def line_drawing(rng):
    """Black lines, circles and arcs on white."""
    canvas, draw, corners = _large(rng, (255, 255, 255))
    for _ in range(int(rng.integers(6, 25))):
        width, kind = int(rng.integers(2, 7)), int(rng.integers(3))
        if kind == 0:
            draw.line(corners(), fill=(0, 0, 0), width=width)
        elif kind == 1:
            draw.ellipse(corners(), outline=(0, 0, 0), width=width)
        else:
            draw.arc(corners(), 0, int(rng.integers(60, 300)), fill=(0, 0, 0), width=width)
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def cartoon(rng):
    """Areas of one colour each, with black outlines."""
    canvas, draw, corners = _large(rng, tuple(map(int, rng.integers(0, 256, 3))))
    for _ in range(int(rng.integers(5, 15))):
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape(corners(), fill=tuple(map(int, rng.integers(0, 256, 3))), outline=(0, 0, 0), width=4)
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def chart(rng):
    """Bars or lines between axes, with a title."""
    canvas, draw, _ = _large(rng, (255, 255, 255))
    edge = 2 * SIDE - 50
    draw.line([(50, 50), (50, edge), (edge, edge)], fill=(0, 0, 0), width=3)
    draw.text((150, 10), "figures of a year", fill=(0, 0, 0), font=ImageFont.load_default(28))
    colours = [(31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)]
    if rng.random() < 0.5:
        for n, height in enumerate(rng.integers(40, 380, 8)):
            left = 70 + 48 * n
            draw.rectangle([left, edge - int(height), left + 34, edge - 2], fill=colours[n % 4])
    else:
        for colour in colours[: int(rng.integers(1, 5))]:
            heights = np.clip(250 + np.cumsum(rng.normal(0, 15, 50)), 60, edge - 5)
            points = [(60 + 8 * n, int(height)) for n, height in enumerate(heights)]
            draw.line(points, fill=colour, width=4)
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def noise(rng):
    """Noise of each pixel, uniform or about one colour."""
    if rng.random() < 0.5:
        return rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    values = rng.integers(60, 200, 3) + rng.normal(size=(SIDE, SIDE, 3)) * rng.uniform(20, 80)
    return np.clip(values, 0, 255).astype(np.uint8)


def checkerboard(rng):
    """Squares of 1 to 24 pixels in two colours."""
    rows, columns = np.indices((SIDE, SIDE)) // int(rng.choice([1, 2, 3, 4, 6, 8, 12, 16, 24]))
    return rng.integers(0, 256, (2, 3)).astype(np.uint8)[(rows + columns) % 2]


def gradient(rng):
    """From one colour to another, in any direction."""
    down, across = np.indices((SIDE, SIDE)) / SIDE
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * across + np.sin(angle) * down
    along = (along - along.min()) / np.ptp(along)
    first, last = rng.integers(0, 256, (2, 3))
    return np.rint(first + (last - first) * along[..., None]).astype(np.uint8)


def screenshot(rng):
    """A part of the editor, which shows a photograph as well."""
    image = Image.open(SCREENS[int(rng.integers(len(SCREENS)))]).convert("RGB")
    left, top = (int(rng.integers(0, length - SIDE + 1)) for length in image.size)
    return np.asarray(image.crop((left, top, left + SIDE, top + SIDE)))


DRAWN = (text, line_drawing, cartoon, chart, noise, checkerboard, gradient, screenshot)


def squares(source, limit, side=SIDE):
    """The middle squares of pictures of a folder or tar file, spread over all."""
    images = ImageSet(source, side)
    for n in np.linspace(0, len(images) - 1, min(limit, len(images))).round().astype(int):
        height, width = images[n].shape[:2]
        top, left = (height - side) // 2, (width - side) // 2
        yield np.ascontiguousarray(images[n][top : top + side, left : left + side])


def soft(pixels, number):
    """A part of a picture, enlarged two or three times, as photographs of many megapixels look."""
    rng = np.random.default_rng(number)
    side = SIDE // int(rng.integers(2, 4))
    top, left = rng.integers(0, SIDE - side + 1, 2)
    part = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(part.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def pictures(pipe, options):
    """Prints the shares of pictures that are called unlike the training data."""
    photographs = list(squares(options.photographs, options.limit))
    groups = {
        "photographs": photographs,
        "photographs, enlarged": [soft(pixels, n) for n, pixels in enumerate(photographs)],
    }
    if options.cats:
        groups["cat faces, 64x64"] = list(squares(options.cats, options.limit, 64))
    for draw in DRAWN:
        groups[draw.__name__] = [draw(np.random.default_rng(1000 + n)) for n in range(options.drawn)]
    kinds = options.kinds or PHOTOGRAPHIC
    print(f"| picture | {' | '.join(kinds)} | median |\n| --- |{' ---: |' * (len(kinds) + 1)}")
    for name, group in groups.items():
        shares, measured = [], []
        for kind in kinds:
            # Long, thin holes take dozens of windows.
            several = group if kind in ("blobs", "strokes_photo") else group[::4]
            found = []
            for n, pixels in enumerate(several):
                mask = HOLES[kind](np.random.default_rng(100 + n), *pixels.shape[:2])
                found.append(pipe(pixels, mask, **FIRST_STEP).unfamiliar)
            known = [value for value in found if value is not None]
            measured += known
            shares.append(f"{sum(value > 1 for value in known)} of {len(known)}")
        print(f"| {name} | {' | '.join(shares)} | {np.median(measured):.2f} |", flush=True)


def holes(pipe, options):
    """Prints how many holes are called uncertain, and LPIPS of their fills."""
    import cv2

    network, rows = Lpips.load("alexnet"), []
    for n, pixels in enumerate(squares(options.photographs, options.limit)):
        rng = np.random.default_rng(100 + n)
        width = WIDTHS[n % len(WIDTHS)]
        top, left = rng.integers(0, SIDE - width + 1, 2)
        box = np.zeros((SIDE, SIDE), dtype=bool)
        box[top : top + width, left : left + width] = True
        for kind, mask in ((f"box, {width}", box), ("blobs", HOLES["blobs"](rng, SIDE, SIDE))):
            if kind == "blobs" and n % 2:
                continue
            result = pipe(pixels, mask)
            bgr = np.ascontiguousarray(pixels[:, :, ::-1])
            telea = cv2.inpaint(bgr, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)[:, :, ::-1]
            fills = result.pictures[0].pixels, np.ascontiguousarray(telea)
            with torch.inference_mode():
                apart = [float(network(to_tensor(fill), to_tensor(pixels))) for fill in fills]
            rows.append((kind, hole_uncertainty(result), float(mask.mean()), *apart))
    limit = pipe.domain.uncertainty if options.uncertainty is None else options.uncertainty
    print(f"limit {limit:.3f} nats\n| hole | uncertain | nats | LPIPS | Telea |\n| --- |{' ---: |' * 4}")
    groups = {kind: [row for row in rows if row[0] == kind] for kind in sorted({row[0] for row in rows})}
    groups["all, without the note"] = [row for row in rows if row[1] <= limit]
    groups["all, with it"] = [row for row in rows if row[1] > limit]
    for name, group in groups.items():
        if group:
            many = sum(row[1] > limit for row in group)
            nats, _, ours, telea = np.mean([row[1:] for row in group], axis=0)
            print(f"| {name} | {many} of {len(group)} | {nats:.2f} | {ours:.4f} | {telea:.4f} |")
    if options.save:
        np.savetxt(options.save, [row[1:] for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--cats", type=Path)
    parser.add_argument("--model", default="photo")
    parser.add_argument("--limit", type=int, default=60, help="photographs, and cat faces")
    parser.add_argument("--drawn", type=int, default=20, help="of each kind of drawn pictures")
    parser.add_argument("--kinds", nargs="+", help="kinds of holes")
    parser.add_argument("--holes", action="store_true")
    parser.add_argument("--uncertainty", type=float, help="instead of the model's limit")
    parser.add_argument("--save", type=Path, help="with --holes: each hole's numbers, as text")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pipe = InpaintPipeline.from_pretrained(options.model)
    (holes if options.holes else pictures)(pipe, options)


if __name__ == "__main__":
    main()
