"""The whole experiment on a tiny model: what is written, and that a second run measures nothing."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiment.conftest import small_features
from fakes import smooth_pixels
from maskmend.errors import DataError
from maskmend.experiment.run import load_test_set, reproduce
from maskmend.experiment.trial import Laboratory, TestSet
from maskmend.mask_sets import draw_mask, make_masks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(3):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(smooth_pixels(16, 16, n)).save(tmp_path / "in" / f"{n:03}.png")
    return tmp_path / "in"


def test_a_quick_run_writes_all_and_a_second_measures_nothing(
    make_laboratory: Callable[..., Laboratory], tmp_path: Path
) -> None:
    """Would catch missing files, figures missing on the page, and a run that starts anew."""
    out, said = tmp_path / "out", []
    facts = reproduce(make_laboratory(), out, quick=True, told=lambda *what: said.append(what))
    names = {path.name for path in out.iterdir()}
    assert names >= {"page.html", "page.md", "page.json", "schedules.png", "masks-1.png", "predicted-2.png"}
    assert json.loads((out / "page.json").read_text()) == json.loads(json.dumps(facts))
    page, text = (out / "page.html").read_text(), (out / "page.md").read_text()
    for table in ("schedule-report", "schedule", "steps", "grid"):
        for row in facts[table]["rows"]:
            value = row["composited"]["value"]
            assert f"{value:.2f} [" in page
            assert f"{value:.2f} [" in text
    assert "38.02" in page
    assert "OpenCV Telea" in page
    assert {what for what, _, _ in said} >= {"filling", "features", "FID by number of steps"}
    calls = []

    def counting(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return small_features(images)

    again = reproduce(make_laboratory(extract=counting), out, quick=True)
    assert again == facts
    assert calls == [10]  # the truths alone


def test_the_full_run_has_every_table(
    make_laboratory: Callable[..., Laboratory], test_set: TestSet, tmp_path: Path
) -> None:
    facts = reproduce(
        make_laboratory(data=test_set.first(3), repeats=2), tmp_path / "out", grid=False, shown=0
    )
    assert set(facts) >= {"order", "sweet_spot", "temperature", "top_p", "infill", "ring", "share", "seam"}
    assert (tmp_path / "out" / "temperature.png").is_file()


def test_masks_are_those_that_masks_make_writes(folder: Path, tmp_path: Path) -> None:
    """Would catch figures that `maskmend evaluate` on a written set of masks does not confirm."""
    drawn = load_test_set(folder, 16, seed=4)
    make_masks("random_walk", folder, tmp_path / "masks", seed=4)
    read = load_test_set(folder, 16, tmp_path / "masks")
    for n, (a, b) in enumerate(zip(drawn.masks, read.masks, strict=True)):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, draw_mask("random_walk", 4, n, 16, 16))


def test_a_tar_file_is_the_folder_it_was_made_of(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        for path in sorted(folder.iterdir(), reverse=True):
            archive.add(path, path.name)
    packed, loose = load_test_set(tmp_path / "in.tar", 16), load_test_set(folder, 16)
    for a, b in zip(packed.images, loose.images, strict=True):
        np.testing.assert_array_equal(a, b)


def test_pictures_of_another_shape_and_missing_masks_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no mask at .*000\.png"):
        load_test_set(folder, 16, tmp_path)
    (folder / "torn.png").write_bytes((folder / "000.png").read_bytes()[:-40])
    with pytest.raises(DataError, match=r"cannot read torn\.png"):
        load_test_set(folder, 16)
    (folder / "torn.png").unlink()
    Image.fromarray(smooth_pixels(32, 32)).save(folder / "large.png")
    with pytest.raises(DataError, match=r"large\.png is 32x32"):
        load_test_set(folder, 16)
    (folder / "large.png").unlink()
    Image.fromarray(smooth_pixels(16, 20)).save(folder / "wide.png")
    with pytest.raises(DataError, match=r"wide\.png is 20x16"):
        load_test_set(folder, 16)
