"""The test set: images and holes do not depend on how they lie on the disk; what is unusable is named."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes import photograph, smooth_pixels
from maskmend.errors import DataError
from maskmend.experiments.reproduce.dataset import TestSet, load_test_set
from maskmend.masks.sets import draw_mask, make_masks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(3):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(smooth_pixels(16, 16, n)).save(tmp_path / "in" / f"{n:03}.png")
    return tmp_path / "in"


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


def test_no_mask_is_taken_for_a_photograph(tmp_path: Path) -> None:
    """Would catch advice to give an option that `reproduce` and `study` have not."""
    for name in ("in", "masks"):
        (tmp_path / name).mkdir()
        for n in range(2):
            Image.fromarray(photograph()).save(tmp_path / name / f"{n}.png")
    np.testing.assert_array_equal(
        load_test_set(tmp_path / "in", 64, tmp_path / "masks").masks[0], photograph() >= 128
    )


def test_unpaired_masks_are_refused(test_set: TestSet) -> None:
    with pytest.raises(DataError, match="10 images and 9 masks"):
        TestSet(images=test_set.images, masks=test_set.masks[:9])
