"""Fixed sets of masks: the same command line gives the same masks on any machine.

Mask number i of a set is drawn from (seed, i) alone. The folder holds one PNG for each picture (white = fill)
and a `manifest.json` with kind, seed, sizes and one SHA-256 over all masks, which evaluations print.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

from maskmend.config import nearest
from maskmend.data import SUFFIXES
from maskmend.errors import ConfigError, DataError
from maskmend.holes import HOLES
from maskmend.images import open_image
from maskmend.model_folder import write_json


def draw_mask(kind: str, seed: int, index: int, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Mask number `index` of the set (kind, seed), True = fill. Raises ConfigError for an unknown kind."""
    if kind not in HOLES:
        raise ConfigError(f"unknown kind of mask {kind!r}{nearest(kind, HOLES)}")
    return HOLES[kind](np.random.default_rng([seed, index]), height, width)


def make_masks(kind: str, images: Path, out: Path, *, seed: int = 0) -> dict[str, Any]:
    """Writes a mask for each picture under `images`, in the order of their paths; returns the manifest."""
    if not images.is_dir():
        raise DataError(f"no folder at {images}: give a folder of images")
    paths = [p for p in sorted(images.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not paths:
        raise DataError(f"no images under {images}: looked for {', '.join(sorted(SUFFIXES))}")
    digest = hashlib.sha256()
    shares = []
    for index, path in enumerate(paths):
        with open_image(path) as image:
            width, height = image.size
        mask = draw_mask(kind, seed, index, height, width)
        digest.update(f"{height}x{width}".encode() + np.packbits(mask).tobytes())
        shares.append(float(mask.mean()))
        target = (out / path.relative_to(images)).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).convert("L").save(target)
    manifest = {
        "kind": kind,
        "seed": seed,
        "count": len(paths),
        "mean_share": round(float(np.mean(shares)), 4),
        "sha256": digest.hexdigest(),
    }
    write_json(out / "manifest.json", manifest)
    return manifest
