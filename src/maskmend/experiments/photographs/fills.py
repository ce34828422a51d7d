"""A cache of fills on disk: one PNG per method, photograph and hole, so that a run can be resumed.

The file name is a hash of the method's identity, the photograph's pixels, the hole and the seed. The time the
fill took is stored in the PNG.
"""

import hashlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, PngImagePlugin

from maskmend.experiments.photographs.methods import Method
from maskmend.experiments.photographs.scenes import Scene
from maskmend.progress import Progress
from maskmend.storage.files import write_files


@dataclass(frozen=True, kw_only=True)
class TimedFill:
    """A method's fill of a photograph."""

    pixels: UInt8[np.ndarray, "H W 3"]
    seconds: float


def fill_all(
    method: Method,
    scenes: Sequence[Scene],
    holes: Sequence[Bool[np.ndarray, "H W"]],
    folder: Path,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[TimedFill]:
    """The fills of all photographs, number i with seed + i; existing ones are read from `folder`."""
    filled = []
    ready = False
    for number, (scene, hole) in enumerate(zip(scenes, holes, strict=True)):
        path = folder / f"{_key(method, scene, hole, seed + number)}.png"
        found = _read(path, scene.pixels.shape)
        if found is None:
            if not ready:  # warm-up: the first fill also prepares the network
                method.fill(scene.pixels, hole, seed + number)
                ready = True
            found = _fill(method, scene, hole, seed + number)
            write_files({path: _png(found)})
        filled.append(found)
        if progress is not None:
            progress(number + 1, len(scenes))
    return filled


def _fill(method: Method, scene: Scene, hole: np.ndarray, seed: int) -> TimedFill:
    start = time.perf_counter()
    pixels = method.fill(scene.pixels, hole, seed)
    return TimedFill(pixels=pixels, seconds=time.perf_counter() - start)


def _key(method: Method, scene: Scene, hole: np.ndarray, seed: int) -> str:
    about = {"method": method.name, **method.identity, "seed": seed, "shape": scene.pixels.shape}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(scene.pixels).tobytes() + np.packbits(hole).tobytes())
    return digest.hexdigest()[:32]


def _png(filled: TimedFill) -> bytes:
    about = PngImagePlugin.PngInfo()
    about.add_text("seconds", repr(filled.seconds))
    content = io.BytesIO()
    Image.fromarray(filled.pixels).save(content, "PNG", pnginfo=about, compress_level=1)
    return content.getvalue()


def _read(path: Path, shape: tuple[int, ...]) -> TimedFill | None:
    """Reads a fill; None if the file is missing or damaged."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            pixels = np.asarray(image)
            seconds = float(image.info["seconds"])
    except (OSError, ValueError, SyntaxError, KeyError):
        return None
    return TimedFill(pixels=pixels, seconds=seconds) if pixels.shape == shape else None
