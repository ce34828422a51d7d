"""Evaluates a model on held-out pictures: LPIPS of fills, and a labelled contact sheet.

The holes of picture i are the same for every model: scratches, strokes and a blob, derived from (seed, i).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from maskmend.images.tensors import to_tensor
from maskmend.masks.sets import draw_mask
from maskmend.metrics.bootstrap import Interval, bootstrap
from maskmend.pipeline import InpaintPipeline
from maskmend.progress import Progress
from maskmend.training.dataset import crop
from maskmend.training.losses import Perceptual
from maskmend.training.stages.stage import picture_grid

KINDS = ("scratches", "strokes_photo", "blobs")
FILLED = 16
"""Number of pictures that are filled, with a hole of each kind."""
SHOWN = 8
"""Number of pictures on a sheet, with alternating kinds of holes."""
REPEATS = 1000


@dataclass(frozen=True, kw_only=True)
class Holed:
    """A held-out picture and a hole in it (True = fill)."""

    pixels: UInt8[np.ndarray, "S S 3"]
    hole: Bool[np.ndarray, "S S"]
    seed: int


def holed_pictures(pictures: Sequence[UInt8[np.ndarray, "H W 3"]], side: int) -> list[list[Holed]]:
    """Central squares of `side` pixels of the first `FILLED` pictures, each with a hole of each kind."""
    found = []
    for number in range(min(FILLED, len(pictures))):
        square = np.ascontiguousarray(crop(pictures[number], side, None))
        holes = [draw_mask(kind, 0, number, side, side) for kind in KINDS]
        found.append([Holed(pixels=square, hole=hole, seed=number) for hole in holes])
    return found


def fill(pipe: InpaintPipeline, holed: Holed) -> UInt8[np.ndarray, "S S 3"]:
    return pipe(holed.pixels, holed.hole, seed=holed.seed).pictures[0].pixels


def fill_distances(
    pipe: InpaintPipeline,
    pictures: Sequence[Sequence[Holed]],
    lpips: Perceptual,
    progress: Progress | None = None,
) -> Float[np.ndarray, "N"]:
    """LPIPS of each picture's composited fills, averaged over its holes."""
    means = []
    for number, holes in enumerate(pictures):
        means.append(
            float(np.mean([_distance(lpips, fill(pipe, one), one.pixels, pipe.device) for one in holes]))
        )
        if progress is not None:
            progress(number + 1, len(pictures))
    return np.array(means)


@torch.inference_mode()
def _distance(
    lpips: Perceptual,
    drawn: UInt8[np.ndarray, "S S 3"],
    true: UInt8[np.ndarray, "S S 3"],
    device: torch.device,
) -> float:
    a, b = (lpips.features(to_tensor(picture).to(device)) for picture in (drawn, true))
    return float(lpips.feature_distance(a, b).mean())


def change(before: Float[np.ndarray, "N"], after: Float[np.ndarray, "N"]) -> Interval:
    """Mean relative change from `before` to `after` (negative: lower, better)."""

    def ratio(counts: np.ndarray) -> float:
        return float((counts * after).sum() / (counts * before).sum() - 1)

    return bootstrap(ratio, len(before), repeats=REPEATS, seed=0)


def sheet(pictures: Sequence[Sequence[Holed]], pipes: dict[str, InpaintPipeline]) -> Image.Image:
    """Rows: the pictures, the pictures with holes, and the fills of each model by its name."""
    shown = [holes[number % len(holes)] for number, holes in enumerate(pictures[:SHOWN])]
    originals = torch.cat([to_tensor(one.pixels) for one in shown])
    holes = torch.cat([torch.from_numpy(one.hole)[None, None] for one in shown])
    rows: dict[str, Float[Tensor, "B 3 S S"]] = {"original": originals}
    rows["hole"] = torch.where(holes, 0.0, originals)
    for name, pipe in pipes.items():
        rows[name] = torch.cat([to_tensor(fill(pipe, one)) for one in shown])
    return picture_grid(rows, scale=1 if originals.shape[-1] >= 128 else 2)
