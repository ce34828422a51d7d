"""The test photographs: central squares of one size, or whole photographs at their original size."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from maskmend.errors import DataError
from maskmend.experiments.reproduce.dataset import read_pixels
from maskmend.masks.sets import draw_mask
from maskmend.training.dataset import crop, decode, list_images

SIDE = 256
"""Side of the squares in pixels: the usual size for published scores."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A photograph with its name in the folder or tar file."""

    name: str
    pixels: UInt8[np.ndarray, "H W 3"]


def load_scenes(source: Path, side: int | None = None, limit: int | None = None) -> list[Scene]:
    """The photographs of a folder or tar file, sorted by name.

    `limit`: take only this many, evenly spaced, as names often start with the subject.
    `side`: scale the shorter side to this many pixels and crop the central square; None: original size.
    Raises DataError for fewer than two photographs, and for an unreadable one, as skipping it would assign
    other masks to all that follow.
    """
    found = sorted(list_images(source), key=lambda entry: Path(entry.name))
    if limit is not None and limit < len(found):
        found = [found[number * len(found) // limit] for number in range(limit)]
    if len(found) < 2:
        raise DataError(f"{len(found)} photographs in {source}: give 2 or more")
    scenes = []
    for entry in found:
        if side is None:
            pixels = read_pixels(entry)
        else:
            try:
                pixels = crop(decode(entry.read(), side), side, None)
            except (OSError, ValueError, SyntaxError) as error:
                raise DataError(f"cannot read {entry.name} ({error}): take it out of {source}") from None
        scenes.append(Scene(name=entry.name, pixels=np.ascontiguousarray(pixels)))
    return scenes


def holes_for(scenes: list[Scene], kind: str, seed: int) -> list[Bool[np.ndarray, "H W"]]:
    """A hole for each photograph, as drawn by `maskmend masks make KIND`."""
    return [draw_mask(kind, seed, n, *scene.pixels.shape[:2]) for n, scene in enumerate(scenes)]
