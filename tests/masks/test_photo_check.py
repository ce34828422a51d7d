"""Photographs are told from masks, whatever was done to either."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import maskmend
import maskmend.errors
from maskmend.masks.generators import HOLES
from maskmend.masks.photo_check import is_photograph
from maskmend.masks.reading import as_mask

SAMPLES = [Path(maskmend.__file__).parent / "assets" / "samples" / f"{n:05}.png" for n in (385, 873)]
"""Of the shipped ones those that are known however they are scaled."""


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


ASSETS = Path(maskmend.__file__).parent / "assets" / "photographs"


def looks_in_colour(image: Image.Image) -> bool:
    image = image.convert("RGB")
    return is_photograph(np.asarray(image.convert("L"), np.float64) / 255, np.asarray(image), 255.0)


@pytest.mark.parametrize("name", ["object", "scratch", "text"])
def test_large_photographs_are_known_by_their_colours(name):
    """Catches photographs with much smooth sky or water that are taken for masks without a word."""
    image = Image.open(ASSETS / f"{name}.jpg")
    assert looks_in_colour(image)
    assert looks_in_colour(image.reduce(4))
    with pytest.warns(maskmend.errors.MaskWarning, match="photograph"):
        as_mask(image)


PAINTS = [((255, 255, 255), (255, 0, 0)), ((0, 0, 0), (0, 255, 0)), ((200, 180, 160), (60, 20, 90))]


@pytest.mark.parametrize("kind", ["boxes", "strokes_thick", "text", "blobs", "scratches"])
@pytest.mark.parametrize("paints", PAINTS, ids=["red on white", "green on black", "violet on sand"])
def test_masks_in_two_colours_are_left_alone(kind, paints):
    """Catches red paint taken for a photograph: with soft edges and JPEG's blocks its colours do spread."""
    for number in range(3):
        hole = HOLES[kind](np.random.default_rng(number), 256, 256)[..., None]
        ground, paint = np.array(paints, np.uint8)
        image = Image.fromarray(np.where(hole, paint, ground))
        for soft in (image, image.filter(ImageFilter.GaussianBlur(2)), as_jpeg(image, 75)):
            assert not looks_in_colour(soft)


def looks_drawn(levels: np.ndarray) -> bool:
    """Whether brightness, or colours, from 0 to 1 pass for a mask, as they are and as JPEG."""
    image = Image.fromarray(np.clip(np.round(levels * 255), 0, 255).astype(np.uint8))
    return not any(looks(one) for one in (image, as_jpeg(image, 75)))


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


def blurred(levels: np.ndarray, breadth: float) -> np.ndarray:
    image = Image.fromarray((levels * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(breadth))) / 255


@pytest.mark.parametrize("kind", [kind for kind in HOLES if kind != "random_pixels"])
@pytest.mark.parametrize("side", [64, 256])
def test_masks_off_black_and_white_are_left_alone(kind, side):
    """Catches scans refused for their noise, soft edges or not, and paint of another colour for JPEG's."""
    noise = np.random.default_rng(0).normal(0, 1 / 255, (side, side))
    for number in range(2):
        mask = HOLES[kind](np.random.default_rng(number), side, side).astype(float)
        for edge in (mask, blurred(mask, 1), blurred(mask, 2)):
            assert looks_drawn(0.08 + 0.84 * edge + 2 * noise)
        assert looks_drawn(0.1 + 0.8 * mask + 5 * noise)
        assert looks_drawn(0.2 + 0.6 * mask)
        for grey in (0.3, 0.5, 0.7):
            assert looks_drawn(grey * mask)
        for colour in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
            assert looks_drawn(mask[:, :, None] * colour)
        soft = blurred(mask, 2)
        wash = blurred(np.random.default_rng(2).random((side, side)), 3)
        assert looks_drawn(soft * np.clip(0.75 + 0.15 * (wash - wash.mean()) / wash.std(), 0, 1))


def scrawl(side: int, width: int, gap: int) -> np.ndarray:
    """Lines of strokes as close as those of letters."""
    image = Image.new("L", (side, side))
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(0)
    for top in range(2, side - gap, gap + 4):
        for left in range(2, side - gap, gap):
            ends = rng.integers(0, gap - 1, (3, 2)) + np.array([left, top])
            draw.line([tuple(map(int, end)) for end in ends], fill=255, width=width)
    return np.asarray(image) / 255


@pytest.mark.parametrize("side", [64, 200, 512])
def test_thin_strokes_are_left_alone(side):
    """Catches a page of text, soft or scanned, and thin paint, refused for having more edge than ground."""
    noise = np.random.default_rng(0).normal(0, 2 / 255, (side, side))
    for width, gap in ((1, 7), (2, 9), (3, 13)):
        page = scrawl(side, width, gap)
        assert looks_drawn(page[:, :, None] * (1, 0, 0))
        for text in (page, blurred(page, 0.5), blurred(page, 1)):
            assert looks_drawn(text)
            assert looks_drawn(0.08 + 0.84 * text + noise)
        halved = Image.fromarray((page * 255).astype(np.uint8)).reduce(2)
        assert not looks(halved)


@pytest.mark.parametrize("kind", ["random_walk", "boxes", "strokes"])
@pytest.mark.parametrize("side", [256, 512])
def test_dithered_masks_are_left_alone(kind, side):
    """Catches a soft brush saved in two levels, and then made smaller."""
    for number, breadth in itertools.product(range(3), (side / 24, side / 12)):
        mask = HOLES[kind](np.random.default_rng(number), side, side).astype(float)
        image = Image.fromarray((blurred(mask, breadth) * 255).astype(np.uint8)).convert("1").convert("L")
        assert not looks(image)
        assert not looks(image.reduce(2))
        for share in (0.5, 0.6, 0.75):
            for way in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS):
                assert not looks(image.resize((int(side * share),) * 2, way))


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
