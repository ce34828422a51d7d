"""The demo's photographs: a result for each, a sheet of all, known pixels as they were."""

from io import StringIO

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fakes import box_mask, smooth_pixels
from maskmend.assets import PHOTOGRAPHS
from maskmend.assets.samples import sample_pairs
from maskmend.cli.demo_photographs import SHEET, SOURCES, repair_photographs
from maskmend.errors import DataError

pytestmark = pytest.mark.slow


def test_each_photograph_is_repaired_and_shown(tmp_path, tiny_model):
    folder, out, said = tmp_path / "photographs", tmp_path / "out [1]", StringIO()
    folder.mkdir()
    masks = {}
    for name, (height, width) in {"a": (20, 34), "b": (40, 24)}.items():
        Image.fromarray(smooth_pixels(height, width)).save(folder / f"{name}.png")
        masks[name] = box_mask(height, width, 4, 5, 12, 13)
        Image.fromarray(masks[name]).convert("L").save(folder / f"{name}.mask.png")
    (folder / "README.md").write_text("By nobody, CC0.")
    repair_photographs(out, model=str(tiny_model), folder=folder, console=Console(file=said, width=200))
    assert {path.name for path in out.iterdir()} == {"a-repaired.png", "b-repaired.png", SHEET, SOURCES}
    assert (out / SOURCES).read_text() == "By nobody, CC0."

    def pixels(path):
        with Image.open(path) as picture:
            return np.asarray(picture)

    for name, mask in masks.items():
        before, after = pixels(folder / f"{name}.png"), pixels(out / f"{name}-repaired.png")
        np.testing.assert_array_equal(before[~mask], after[~mask])
        assert (before[mask] != after[mask]).any()
    assert pixels(out / SHEET).shape == (20 + 40, 2 * 34, 3)
    assert str(out / SHEET) in said.getvalue()


def test_the_shipped_photographs_have_masks_of_their_size():
    pairs = sample_pairs(PHOTOGRAPHS)
    assert len(pairs) == 3
    for _, image, mask in pairs:
        with Image.open(image) as one, Image.open(mask) as two:
            assert one.size == two.size


def test_a_folder_without_pictures_is_told(tmp_path, tiny_model):
    with pytest.raises(DataError, match="no sample pictures"):
        repair_photographs(tmp_path / "out", model=str(tiny_model), folder=tmp_path)
