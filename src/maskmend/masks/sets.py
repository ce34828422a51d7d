"""Fixed sets of masks: the same command line gives the same masks on any machine.

Mask number i of a set is drawn from (seed, i) alone. The folder holds one PNG for each picture (white = fill)
and a `manifest.json` with kind, seed, count, mean share and one SHA-256 over all masks (`masks_hash`), which
`maskmend evaluate` prints too.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

from maskmend.config import nearest
from maskmend.errors import ConfigError, DataError, ImageError
from maskmend.images.listing import SUFFIXES
from maskmend.images.opening import decoded, open_image
from maskmend.masks.generators import HOLES
from maskmend.progress import Skip
from maskmend.seeds import MAX_SEED
from maskmend.storage.files import json_bytes, write_files


def draw_mask(kind: str, seed: int, index: int, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Mask number `index` of the set (kind, seed), True = fill. Raises ConfigError for an unknown kind."""
    if kind not in HOLES:
        raise ConfigError(f"unknown kind of mask {kind!r}{nearest(kind, HOLES)}")
    return HOLES[kind](np.random.default_rng([seed, index]), height, width)


def masks_hash(masks: Iterable[Bool[np.ndarray, "_ _"]]) -> str:
    """SHA-256 over sizes and pixels of a set of masks, True = fill, in the order of their pictures' paths."""
    digest = hashlib.sha256()
    for mask in masks:
        height, width = mask.shape
        digest.update(f"{height}x{width}".encode() + np.packbits(mask).tobytes())
    return digest.hexdigest()


def make_masks(
    kind: str, images: Path, out: Path, *, seed: int = 0, skip: Skip | None = None
) -> dict[str, Any]:
    """Writes a mask for each picture under `images`, in the order of their paths; returns the manifest.

    A picture that cannot be read to its end gets none and goes to `skip` (name, reason) where one is given,
    else it raises ImageError. It keeps its number, so that the others' masks stay the same once it is
    repaired; a mask that an earlier set has for it is removed.
    """
    if not images.is_dir():
        raise DataError(f"no folder at {images}: give a folder of images")
    if out.resolve() == images.resolve():
        raise ConfigError(f"{out} is the folder of the images, which masks would replace: choose another")
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed {seed} is out of range: give an integer from 0 to {MAX_SEED}")
    paths = [p for p in sorted(images.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not paths:
        raise DataError(f"no images under {images}: looked for {', '.join(sorted(SUFFIXES))}")
    shares: list[float] = []
    skipped: list[str] = []
    files: dict[Path, bytes] = {}
    stale: set[Path] = set()

    def drawn() -> Iterator[np.ndarray]:
        """One mask in memory at a time: sets may be large."""
        for index, path in enumerate(paths):
            target = (out / path.relative_to(images)).with_suffix(".png")
            try:
                width, height = _upright_size(path)
            except ImageError as error:
                if skip is None:
                    raise
                skipped.append(path.relative_to(images).as_posix())
                skip(skipped[-1], str(error))
                stale.add(target)
                continue
            mask = draw_mask(kind, seed, index, height, width)
            shares.append(float(mask.mean()))
            if target in files:
                raise DataError(
                    f"two images want the mask {target}, one is {path}: give them different names"
                )
            content = io.BytesIO()
            Image.fromarray(mask).convert("L").save(content, "PNG")
            files[target] = content.getvalue()
            yield mask

    sha256 = masks_hash(drawn())
    if not shares:
        raise DataError(f"none of the {len(paths)} images under {images} can be read: give intact ones")
    manifest: dict[str, Any] = {
        "kind": kind,
        "seed": seed,
        "count": len(shares),
        "mean_share": round(float(np.mean(shares)), 4),
        "sha256": sha256,
    }
    if skipped:
        manifest["skipped"] = skipped
    write_files(files | {out / "manifest.json": json_bytes(manifest)})
    for path in stale - files.keys():
        path.unlink(missing_ok=True)
    return manifest


def _upright_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image file as it is seen, its EXIF orientation applied."""
    with open_image(path) as image:  # decoded, so that a mask is for a picture that is whole
        return decoded(image, f"image {path}")[0].size
