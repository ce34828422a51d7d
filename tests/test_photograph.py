"""Photographs are told from masks, whatever was done to either."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import maskmend
from maskmend.holes import HOLES
from maskmend.photograph import is_photograph

SAMPLES = sorted(
    path for path in (Path(maskmend.__file__).parent / "samples").glob("*.png") if "mask" not in path.name
)


def looks(image: Image.Image) -> bool:
    return is_photograph(np.asarray(image.convert("L"), np.float64) / 255)


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return Image.open(content)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_photographs_are_known(path):
    """Catches those in which the grey version, a larger one, a negative or a JPEG file passes for a mask."""
    image = Image.open(path).convert("RGB")
    assert looks(image)
    assert looks(image.resize((256, 256), Image.Resampling.BICUBIC))
    assert looks(as_jpeg(image, 75))
    assert looks(image.point(lambda level: 255 - level))


def softened(mask: Image.Image) -> Iterator[Image.Image]:
    yield mask
    for breadth in (0.5, 1, 2, 4, 8):
        yield mask.filter(ImageFilter.GaussianBlur(breadth))
    for side in (48, 100, 300):
        yield mask.resize((side, side), Image.Resampling.LANCZOS)


@pytest.mark.parametrize("kind", HOLES)
@pytest.mark.parametrize("side", [32, 64, 150])
def test_masks_are_left_alone(kind, side):
    """Catches masks refused for antialiased edges, a soft brush, scaling, or JPEG's noise."""
    for number in range(4):
        mask = HOLES[kind](np.random.default_rng(number), side, side)
        image = Image.fromarray(mask.astype(np.uint8) * 255)
        for soft in [image] if kind == "random_pixels" else softened(image):
            assert not looks(soft)
            assert not looks(as_jpeg(soft, 75))
            assert not looks(as_jpeg(soft, 25))


def test_soft_brushes_and_plain_greys_are_left_alone():
    """Catches many greys taken for a photograph where they only run from black to white, or are one."""
    rows, columns = np.mgrid[-60:60, -90:90]
    for soft in (
        (columns + 90) / 180,
        np.exp(-(rows**2 + columns**2) / 2 / 30**2),
        np.maximum(np.exp(-(rows**2 + (columns - 40) ** 2) / 800), np.exp(-((rows + 20) ** 2) / 50)),
        np.full((120, 180), 0.5),
        np.random.default_rng(0).integers(120, 122, (120, 180)) / 255,
    ):
        assert not is_photograph(soft.astype(np.float64))


def test_only_the_shorter_side_may_be_too_short_to_judge():
    """Catches panoramas that are looked at in a few rows, and small masks refused for JPEG's blocks."""
    panorama = np.tile(np.asarray(Image.open(SAMPLES[0]).convert("L"), np.float64) / 255, (1, 20))
    assert is_photograph(panorama)
    assert is_photograph(panorama[:32])
    assert not is_photograph(panorama[:31])
