"""Restricts the context of a fill to a box: pixels outside it are ignored.

    picture, mask ─ crop to the box ─► fill ─ paste back ─► the whole picture

As the picture is cropped first, the box limits everything that a fill depends on: windows (`windows`), the
levels of a wide hole (`levels`) and the seam. The setting `context` still determines how much of the box is
seen around a hole. A box keeps the fill from continuing a neighbouring object, for example.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from maskmend.errors import MaskError
from maskmend.fill.result import Inpainted
from maskmend.fill.windows import Window
from maskmend.images.picture import Picture
from maskmend.masks.box import Box
from maskmend.masks.painted import CONTEXT_BOX, check_inside, written


def cut_to_box(
    picture: Picture, mask: Bool[np.ndarray, "H W"], box: Box
) -> tuple[Picture, Bool[np.ndarray, "h w"]]:
    """The part of picture and mask within the box.

    Raises MaskError for a box that is not within the picture, and where the hole reaches beyond the box.
    """
    height, width = mask.shape
    check_inside(box, height, width, CONTEXT_BOX)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    inside = mask[box.slices]
    if int(mask.sum()) != int(inside.sum()):
        hole = Box(
            top=int(rows[0]),
            left=int(columns[0]),
            height=int(rows[-1] - rows[0] + 1),
            width=int(columns[-1] - columns[0] + 1),
        )
        raise MaskError(
            f"the hole lies in {written(hole)}, which reaches beyond {CONTEXT_BOX} {written(box)}: give a "
            "box with the hole and what may be seen around it"
        )
    if mask.size and inside.all():
        raise MaskError(
            f"{CONTEXT_BOX} {written(box)} holds nothing but the hole: give a box with known pixels around it"
        )
    return cut_picture(picture, box), inside


def cut_picture(picture: Picture, box: Box) -> Picture:
    """The part of a picture within the box, or of a guide of its size."""
    alpha = None if picture.alpha is None else picture.alpha[box.slices]
    return replace(picture, pixels=picture.pixels[box.slices], alpha=alpha)


def put_back(result: Inpainted, picture: Picture, mask: Bool[np.ndarray, "H W"], box: Box) -> Inpainted:
    """The result of a fill within the box as one of the whole picture; `mask` is the whole mask."""
    pictures = tuple(_pasted(picture, filled, box) for filled in result.pictures)
    uncertainty = np.zeros(mask.shape, dtype=result.uncertainty.dtype)
    uncertainty[box.slices] = result.uncertainty
    regions = tuple(replace(region, window=_moved(region.window, box)) for region in result.regions)
    return replace(
        result, source=picture, mask=mask, pictures=pictures, uncertainty=uncertainty, regions=regions
    )


def _pasted(picture: Picture, filled: Picture, box: Box) -> Picture:
    pixels = picture.pixels.copy()
    pixels[box.slices] = filled.pixels
    alpha = None
    if picture.alpha is not None and filled.alpha is not None:
        alpha = picture.alpha.copy()
        alpha[box.slices] = filled.alpha
    return replace(picture, pixels=pixels, alpha=alpha)


def _moved(window: Window, frame: Box) -> Window:
    """A window in coordinates of the picture, from one in coordinates of the frame."""

    def whole(box: Box) -> Box:
        return replace(box, top=box.top + frame.top, left=box.left + frame.left)

    cell = None if window.cell is None else whole(window.cell)
    return Window(box=whole(window.box), part=whole(window.part), cell=cell)
