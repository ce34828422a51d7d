"""Photographs as they are measured: the right square, the right order, none left out in silence."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskmend.errors import DataError
from maskmend.experiments.photographs.scenes import holes_for, load_scenes
from maskmend.masks.sets import draw_mask


def written(folder: Path, count: int, size: tuple[int, int] = (48, 32)) -> Path:
    folder.mkdir(exist_ok=True)
    for n in range(count):
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        pixels[:, : size[0] // 2] = 10 * n
        pixels[:, size[0] // 2 :] = 255
        Image.fromarray(pixels).save(folder / f"p{n}.png")
    return folder


def test_squares_are_cut_from_the_middle_and_whole_ones_left(tmp_path: Path) -> None:
    """Would catch squashed photographs and corners instead of the middle."""
    folder = written(tmp_path / "photos", 3)
    square = load_scenes(folder, 16)[1].pixels
    assert square.shape == (16, 16, 3)
    assert square[:, :6].max() < 30  # scaled by Lanczos, which rings near the edge in the middle
    assert square[:, 10:].min() > 225
    assert load_scenes(folder)[1].pixels.shape == (32, 48, 3)


def test_a_limit_spreads_over_all_names(tmp_path: Path) -> None:
    """Would catch a look at the first so many, which are often of one kind."""
    folder = written(tmp_path / "photos", 9)
    names = [scene.name for scene in load_scenes(folder, limit=3)]
    assert names == ["p0.png", "p3.png", "p6.png"]
    assert len(load_scenes(folder, limit=20)) == 9


def test_an_unreadable_photograph_is_named(tmp_path: Path) -> None:
    """Would catch one left out, which moves the holes of all after it."""
    folder = written(tmp_path / "photos", 3)
    (folder / "p1.png").write_bytes(b"no picture")
    for side in (16, None):
        with pytest.raises(DataError, match=r"p1\.png"):
            load_scenes(folder, side)
    with pytest.raises(DataError, match="2 or more"):
        load_scenes(written(tmp_path / "one", 1))


def test_holes_are_those_that_masks_make_draws(tmp_path: Path) -> None:
    """Would catch figures of other holes than the documented ones."""
    scenes = load_scenes(written(tmp_path / "photos", 2))
    np.testing.assert_array_equal(holes_for(scenes, "text", 3)[1], draw_mask("text", 3, 1, 32, 48))
