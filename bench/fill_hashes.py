"""Hashes of fifty fills of `cats64` with every setting varied, to compare two versions of the package.

    PYTHONPATH=OLD/src python bench/fill_hashes.py > old.json
    PYTHONPATH=src python bench/fill_hashes.py > new.json
    diff old.json new.json

Forty are of the shipped samples, two fills each; ten of a larger picture, with scratches or holes far apart.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

import maskmend
from maskmend import InpaintPipeline

try:
    from maskmend.images.picture import load_image
    from maskmend.masks.reading import load_mask
except ImportError:  # a version from before the modules moved
    from maskmend.images import load_image
    from maskmend.masks import load_mask

VARIED = (
    {}, {"steps": 1}, {"steps": 3, "schedule": "linear"}, {"schedule": "square"}, {"order": "random"},
    {"order": "halton"}, {"temperature": 1.0, "top_k": 50}, {"top_p": 0.8}, {"choice": "argmax"},
    {"noise": 4.5, "confidence": "probability"}, {"infill": "nearest"}, {"ring": 1}, {"share": 0.3},
    {"seam": "hard"}, {"seam": "feather"}, {"seam": "multiband"}, {"sweet_spot": 4}, {"infill": "grey"},
    {"infill": "mean"}, {"context": 0.3},
)  # fmt: skip


def digest(result) -> str:
    pixels = b"".join(picture.pixels.tobytes() for picture in result.pictures)
    return hashlib.sha256(pixels + result.tokens.tobytes()).hexdigest()[:16]


def main() -> None:
    torch.set_num_threads(1)
    root = Path(maskmend.__file__).parent
    folder = next(path for path in (root / "assets" / "samples", root / "samples") if path.is_dir())
    images = sorted(path for path in folder.glob("*.png") if ".mask" not in path.name)
    pipe = InpaintPipeline.from_pretrained("cats64")
    hashes = []
    for number, settings in enumerate(VARIED * 2):
        path = images[number % len(images)]
        picture = load_image(path)
        mask = load_mask(path.with_suffix(".mask.png"), size=picture.pixels.shape[:2])
        hashes.append(digest(pipe(picture, mask, seed=number, samples=2, **settings)))
    large = np.kron(load_image(images[0]).pixels, np.ones((4, 4, 1), np.uint8))
    for number in range(10):
        mask = np.zeros(large.shape[:2], dtype=bool)
        if number % 2:
            mask[100 + number : 106 + number, 10:240] = True
        else:
            mask[30 : 60 + 5 * number, 40:90] = mask[200:210, 200:220] = True
        hashes.append(digest(pipe(large, mask, seed=number)))
    print(json.dumps(hashes, indent=1))


if __name__ == "__main__":
    main()
