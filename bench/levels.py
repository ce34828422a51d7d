"""What the finer levels bring to wide holes.

    python bench/levels.py --images val.tar --limit 30 [--settings detail=0 --settings steps=1 ...]

Squares of 256 pixels with holes of the kind `blobs`, seed 100 + number. For each setting the mean LPIPS of
the composited fills (AlexNet), and with `--samples 4` how far four fills of a hole differ from each other.
Whether the borders of their windows show is measured by bench/seams.py.
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
    for assignment in ["", *options.settings]:
        distances, apart, start = [], [], time.perf_counter()
        for pixels, mask in pairs:
            settings = override({}, [assignment] if assignment else [])
            result = pipe(pixels, mask, samples=options.samples, **settings)
            with torch.inference_mode():
                fills = [network.features(to_tensor(picture.pixels)) for picture in result.pictures]
                truth = network.features(to_tensor(pixels))
                distances += [float(network.feature_distance(fill, truth)[0]) for fill in fills]
                pairings = itertools.combinations(fills, 2)
                apart += [float(network.feature_distance(one, two)[0]) for one, two in pairings]
        seconds = (time.perf_counter() - start) / len(pairs)
        between = f"  of two fills {np.mean(apart):.4f}" if apart else ""
        print(
            f"{assignment or 'as shipped':<24} LPIPS {np.mean(distances):.4f}{between}  "
            f"{seconds:.1f} s a picture",
            flush=True,
        )


if __name__ == "__main__":
    main()
