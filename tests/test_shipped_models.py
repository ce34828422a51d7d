"""The shipped models as they are used: sizes, the cats' tokens, and what must not change in a fill.

The properties of a fill are tested on tiny random models in `test_pipeline`; here they meet the default model
with the windows, finer levels and interpolation of real use.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from fakes import box_mask
from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs
from maskmend.fill.events import FillEvents
from maskmend.images.picture import load_image
from maskmend.masks.generators import HOLES
from maskmend.masks.reading import load_mask
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.lookup import find_model

TOKENS = Path(__file__).with_name("cats64_tokens.json")


def test_the_shipped_models_are_small() -> None:
    """Catches weights that make an installation large, or a file that hosts of code refuse."""
    folders = [find_model(name) for name in ("cats64", "photo")]
    assert find_model("default") in folders
    sizes = [path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert sum(sizes) <= 32e6
    assert max(sizes) <= 16e6


@pytest.mark.slow
def test_the_cats_tokens_are_those_of_the_published_experiment() -> None:
    """Catches a change of code, weights or defaults that would alter the figures of `cats64`.

    Tokens, because pixels differ by a level from machine to machine.
    """
    pipe = InpaintPipeline.from_pretrained("cats64", precision="fp32")
    found = {}
    for name, image, mask in sample_pairs():
        pixels = load_image(image).pixels
        result = pipe(pixels, load_mask(mask, size=pixels.shape[:2]), seed=0)
        found[name] = result.tokens[0][result.hole].tolist()
    assert found == json.loads(TOKENS.read_text())


class Case(NamedTuple):
    """A hole in a part of a shipped photograph, and the way of filling that it is there for."""

    photograph: str
    top: int
    left: int
    hole: Callable[[], np.ndarray]
    least_windows: int = 1
    least_levels: int = 0
    interpolated: bool = False
    """Whether interpolation (`Settings.plain`) changes the fill."""


def drawn(kind: str, seed: int, height: int, width: int) -> np.ndarray:
    return HOLES[kind](np.random.default_rng(seed), height, width)


def track(height: int, width: int) -> np.ndarray:
    """A scratch across a picture."""
    mask = np.zeros((height, width), dtype=bool)
    rows = np.linspace(0.2 * height, 0.8 * height, width).astype(int)
    for thick in range(5):
        mask[rows + thick, np.arange(width)] = True
    return mask


def disc(side: int, radius: int) -> np.ndarray:
    return np.hypot(*(np.indices((side, side)) - side / 2)) < radius


CASES = {
    "scratch": Case("object", 60, 100, lambda: track(130, 200), least_windows=4),
    "text": Case("text", 20, 40, lambda: drawn("text", 1, 140, 180), least_windows=4),
    "wide": Case("object", 80, 200, lambda: disc(160, 37), least_levels=2),
    "strokes": Case("text", 60, 150, lambda: drawn("strokes_photo", 3, 150, 150)),
    "sky": Case("scratch", 0, 265, lambda: track(130, 200), least_windows=4, interpolated=True),
    "all": Case("text", 0, 0, lambda: box_mask(130, 130, 0, 0, 130, 130)),
}


@pytest.fixture(scope="module")
def photo() -> InpaintPipeline:
    return InpaintPipeline.from_pretrained("photo")


def assert_same(one: Any, two: Any) -> None:
    """Everything a person gets to see of two results, to the bit."""
    np.testing.assert_array_equal(one.pictures[0].pixels, two.pictures[0].pixels)
    np.testing.assert_array_equal(one.tokens, two.tokens)
    np.testing.assert_array_equal(one.uncertainty, two.uncertainty)
    np.testing.assert_array_equal(one.log_likelihood, two.log_likelihood)
    assert (one.note, one.unfamiliar) == (two.note, two.unfamiliar)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_photo_keeps_what_is_known_and_ignores_what_is_hidden(photo: InpaintPipeline, name: str) -> None:
    """Catches a touched pixel outside the hole, or erased content in the fill, where the shipped model
    takes windows, finer levels and interpolation."""
    case = CASES[name]
    mask = case.hole()
    height, width = mask.shape
    image = next(image for title, image, _ in sample_pairs(PHOTOGRAPHS) if title == case.photograph)
    whole = load_image(image).pixels
    pixels = np.ascontiguousarray(whole[case.top : case.top + height, case.left : case.left + width])
    assert pixels.shape[:2] == mask.shape
    rng = np.random.default_rng(0)
    noise = rng.choice(np.array([0, 255], np.uint8), pixels.shape)
    levels = [0]
    result = photo(pixels, mask, events=FillEvents(on_level=lambda progress: levels.append(progress.levels)))
    other = photo(np.where(mask[:, :, None], noise, pixels), mask)
    np.testing.assert_array_equal(result.pictures[0].pixels[~mask], pixels[~mask])
    assert_same(result, other)
    # The case is what it is there for.
    assert len(result.regions) >= case.least_windows
    assert max(levels) >= case.least_levels
    if case.interpolated:
        assert (photo(pixels, mask, plain=0.0).pictures[0].pixels != result.pictures[0].pixels).any()
