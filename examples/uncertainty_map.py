"""Show where the model had to guess.

    python examples/uncertainty_map.py photo.jpg mask.png uncertainty.png

Writes the entropy of the first prediction, when nothing of the hole was filled yet: black is certain (and all
known pixels), white is the most uncertain part of this hole. The numbers are in nats, 0 to log(codes).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from maskmend import InpaintPipeline


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()

    pipe = InpaintPipeline.from_pretrained(options.model)
    result = pipe(Image.open(options.image), Image.open(options.mask), seed=0)
    entropy = result.uncertainty  # (H, W) in nats, 0 at known pixels
    highest = float(entropy.max())
    grey = np.round(255 * entropy / max(highest, 1e-6)).astype(np.uint8)
    Image.fromarray(grey).save(options.output)
    mean = float(entropy[result.mask].mean()) if result.mask.any() else 0.0
    print(f"{options.output}: mean {mean:.2f} nats in the hole, highest {highest:.2f}")


if __name__ == "__main__":
    main()
