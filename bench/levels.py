"""What the finer levels bring to wide holes, and whether the borders of their windows show.

    python bench/levels.py --images val.tar --limit 30 [--settings detail=0 --settings steps=1 ...]

Squares of 256 pixels with holes of the kind `blobs`, seed 100 + number. For each setting the mean LPIPS of
the composited fills (AlexNet), and with `--samples 4` how far four fills of a hole differ from each other.
For the first of them also the mean step, in grey levels, between neighbouring pixels in the hole: across the
borders of the finest cells, elsewhere, and in the true pictures across them.
"""

import argparse
import io
import itertools
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from maskmend.config import override
from maskmend.fill.levels import plan_levels
from maskmend.fill.windows import FULLEST_GUESSED, lay_windows
from maskmend.images.listing import list_images
from maskmend.images.tensors import to_tensor
from maskmend.masks.generators import HOLES
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline

SIDE = 256


def examples(source: Path, limit: int):
    """Pixels and hole of each picture, spread over the names."""
    entries = sorted(list_images(source), key=lambda entry: entry.name)
    for number, entry in enumerate(entries[:: max(1, len(entries) // limit)][:limit]):
        image = Image.open(io.BytesIO(entry.read())).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize(
            (SIDE, SIDE), Image.Resampling.LANCZOS
        )
        yield np.asarray(square), HOLES["blobs"](np.random.default_rng(100 + number), SIDE, SIDE)


def steps_across(pixels, hole, borders):
    """Sum and number of steps between horizontal neighbours in the hole, across the borders and elsewhere."""
    both = hole[:, 1:] & hole[:, :-1]
    step = np.abs(np.diff(pixels.astype(float), axis=1)).mean(2)
    return [(step[both & where].sum(), int((both & where).sum())) for where in (borders, ~borders)]


def borders_of(mask, resolution):
    """True between horizontal neighbours in different cells of the finest level."""
    windows = lay_windows(mask, resolution, context=0.75, most=512, fullest=FULLEST_GUESSED)
    borders = np.zeros((SIDE, SIDE - 1), dtype=bool)
    for level in plan_levels(mask, windows, resolution, "full"):
        if level.scale == 1:
            for cell, _ in level.cells:
                for edge in (level.box.left + cell.left, level.box.left + cell.left + cell.width):
                    top = max(0, level.box.top + cell.top)
                    if 0 < edge < SIDE:
                        borders[top : level.box.top + cell.top + cell.height, edge - 1] = True
    return borders


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=30)
    parser.add_argument("--model", default="photo")
    parser.add_argument("--samples", type=int, default=1, help="fills of each hole")
    parser.add_argument("--settings", action="append", default=[], help="KEY=VALUE, for one row more")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pipe, network = InpaintPipeline.from_pretrained(options.model), Lpips.load("alexnet")
    pairs = list(examples(options.images, options.limit))
    for row, assignment in enumerate(["", *options.settings]):
        distances, apart, start = [], [], time.perf_counter()
        sums = np.zeros((3, 2))
        for pixels, mask in pairs:
            settings = override({}, [assignment] if assignment else [])
            result = pipe(pixels, mask, samples=options.samples, **settings)
            filled = result.pictures[0].pixels
            with torch.inference_mode():
                fills = [network.features(to_tensor(picture.pixels)) for picture in result.pictures]
                truth = network.features(to_tensor(pixels))
                distances += [float(network.feature_distance(fill, truth)[0]) for fill in fills]
                pairings = itertools.combinations(fills, 2)
                apart += [float(network.feature_distance(one, two)[0]) for one, two in pairings]
            if row == 0:
                borders = borders_of(mask, pipe.resolution)
                across, elsewhere = steps_across(filled, mask, borders)
                sums += np.array([across, elsewhere, steps_across(pixels, mask, borders)[0]])
        seconds = (time.perf_counter() - start) / len(pairs)
        between = f"  of two fills {np.mean(apart):.4f}" if apart else ""
        print(
            f"{assignment or 'as shipped':<24} LPIPS {np.mean(distances):.4f}{between}  "
            f"{seconds:.1f} s a picture",
            flush=True,
        )
        if row == 0:
            means = sums[:, 0] / sums[:, 1]
            print(
                f"steps in the hole: {means[0]:.2f} across cell borders, {means[1]:.2f} elsewhere; "
                f"in the true pictures {means[2]:.2f} across the same borders",
                flush=True,
            )


if __name__ == "__main__":
    main()
