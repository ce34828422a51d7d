"""Photographs with long, thin holes: python bench/scratches.py FOLDER

Three photographs that come with scikit-image (`pip install scikit-image opencv-python-headless`): `chelsea`,
`coffee` and `astronaut`, 451 to 600 pixels wide, each with five scratches from side to side, of 5, 10
and 20 pixels. Writes FOLDER/images-5, masks-5 (white = fill), telea-5 (OpenCV's fills, to compare) and so on.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw
from skimage import data

PHOTOGRAPHS = ("chelsea", "coffee", "astronaut")
WIDTHS = (5, 10, 20)
SCRATCHES = 5
BENDS = 9


def scratch(size: tuple[int, int], width: int, seed: int) -> Image.Image:
    """A line with bends from the left sixth to the right one, white on black."""
    rng = np.random.default_rng(seed)
    (across, down), mask = size, Image.new("L", size)
    start = np.array([rng.uniform(0, 0.15) * across, rng.uniform(0.1, 0.9) * down])
    end = np.array([rng.uniform(0.85, 1) * across, rng.uniform(0.1, 0.9) * down])
    points = [start + (end - start) * share for share in np.linspace(0, 1, BENDS)]
    bent = [(float(x), float(y + rng.normal() * down * 0.03)) for x, y in points]
    ImageDraw.Draw(mask).line(bent, fill=255, width=width, joint="curve")
    return mask


def main(folder: Path) -> None:
    for width in WIDTHS:
        for kind in ("images", "masks", "telea"):
            (folder / f"{kind}-{width}").mkdir(parents=True, exist_ok=True)
        for name in PHOTOGRAPHS:
            image = Image.fromarray(getattr(data, name)()).convert("RGB")
            for seed in range(SCRATCHES):
                mask, file = scratch(image.size, width, seed), f"{name}-{seed}.png"
                image.save(folder / f"images-{width}" / file)
                mask.save(folder / f"masks-{width}" / file)
                filled = cv2.inpaint(np.asarray(image), np.asarray(mask), 3, cv2.INPAINT_TELEA)
                Image.fromarray(filled).save(folder / f"telea-{width}" / file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
