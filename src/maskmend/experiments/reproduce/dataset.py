"""The fixed images and holes of all trials of an experiment."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from maskmend.assets import SAMPLES
from maskmend.errors import DataError, ImageError
from maskmend.images.listing import Entry, list_images
from maskmend.images.opening import READABLE
from maskmend.images.picture import picture_from
from maskmend.masks.options import MaskOptions
from maskmend.masks.reading import load_mask
from maskmend.masks.sets import draw_mask


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """Images with their holes, all of the model's size."""

    images: Sequence[UInt8[np.ndarray, "H W 3"]]
    masks: Sequence[Bool[np.ndarray, "H W"]]
    """True = fill."""
    name: str = "random walks"

    __test__ = False  # no test class, whatever pytest thinks of the name

    def __post_init__(self) -> None:
        if len(self.images) != len(self.masks) or len(self.images) < 2:
            raise DataError(
                f"{len(self.images)} images and {len(self.masks)} masks: give 2 or more, a mask for each"
            )

    def first(self, count: int | None) -> "TestSet":
        """The first `count` images; all of them for None."""
        return TestSet(images=self.images[:count], masks=self.masks[:count], name=self.name)


def load_test_set(
    images: Path, size: int, masks: Path | None = None, *, kind: str = "random_walk", seed: int = 0
) -> TestSet:
    """The images of a folder or tar file with their holes.

    Without a folder of masks, image number i (by name) gets the mask that `maskmend masks make KIND` draws.
    Raises DataError for images that are not squares of `size` pixels (FID would measure the scaling) and for
    unreadable ones (leaving them out would move the masks).
    """
    found = sorted(list_images(images), key=lambda entry: Path(entry.name))  # as `masks make` has them
    names, pictures = [Path(entry.name) for entry in found], []
    for entry in found:
        picture = read_pixels(entry)
        if picture.shape != (size, size, 3):
            shape = f"{picture.shape[1]}x{picture.shape[0]}"
            raise DataError(f"{entry.name} is {shape}: `reproduce` needs {size}x{size} pictures")
        pictures.append(picture)
    if masks is None:
        holes = [draw_mask(kind, seed, number, size, size) for number in range(len(pictures))]
        return TestSet(images=pictures, masks=holes, name=f"{kind.replace('_', ' ')}, seed {seed}")
    holes = []
    for name in names:
        path = (masks / name).with_suffix(".png")
        if not path.is_file():
            raise DataError(f"no mask at {path}: make a set with `maskmend masks make`, or leave --masks out")
        # No option here could say that a photograph is meant.
        holes.append(load_mask(path, size=(size, size), options=MaskOptions(photo_check="off")))
    return TestSet(images=pictures, masks=holes, name=f"masks of {masks.name}")


def shipped_set(size: int) -> TestSet:
    """The shipped samples with their masks. Raises DataError for a model of another size than theirs."""
    images, masks = [], []
    for entry in list_images(SAMPLES):
        if ".mask." in entry.name:
            continue
        picture = read_pixels(entry)
        if picture.shape != (size, size, 3):
            side = picture.shape[0]
            raise DataError(f"the shipped samples are {side}x{side}, the model {size}x{size}: give --images")
        images.append(picture)
        masks.append(load_mask(SAMPLES / entry.name.replace(".png", ".mask.png"), size=(size, size)))
    return TestSet(images=images, masks=masks, name="the shipped samples' masks")


def read_pixels(entry: Entry) -> UInt8[np.ndarray, "H W 3"]:
    """The colours of one picture. Raises DataError for one that cannot be read."""
    try:
        with Image.open(BytesIO(entry.read()), formats=READABLE) as image:
            return picture_from(image).pixels
    except (OSError, ValueError, SyntaxError, ImageError) as error:
        raise DataError(f"cannot read {entry.name} ({error}): take it out of the test set") from None
