"""The other methods: known pixels stay, and what is missing is said."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fakes import box_mask, migan_stand_in, smooth_pixels
from maskmend.errors import ConfigError
from maskmend.experiments.reproduce.baselines import leave_grey, migan, telea
from maskmend.experiments.reproduce.summary import baselines


def test_grey_and_telea_keep_known_pixels() -> None:
    image, mask = smooth_pixels(16, 16), box_mask(16, 16, 4, 4, 12, 12)
    grey, filled = leave_grey(image, mask), telea()(image, mask)
    assert (grey[mask] == 128).all()
    np.testing.assert_array_equal(grey[~mask], image[~mask])
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    assert np.abs(filled.astype(int) - image)[mask].mean() < np.abs(grey.astype(int) - image)[mask].mean()


def test_migan_is_shown_255_at_known_pixels_and_changes_the_hole_only(tmp_path: Path) -> None:
    """Would catch a mask of the wrong colour, channels in the wrong place, and known pixels of the network.

    The network is one whose answer is known: its picture is the mask it was shown, in all three channels.
    """
    shape, mask = ("Shape", ["image"], "shape"), ("Expand", ["mask", "shape"], "result")
    picture, hole = smooth_pixels(16, 20), box_mask(16, 20, 4, 4, 12, 12)
    filled = baselines(migan_stand_in(tmp_path / "mask.onnx", shape, mask))["MI-GAN"](picture, hole)
    assert filled.shape == picture.shape
    assert (filled[hole] == 0).all()
    np.testing.assert_array_equal(filled[~hole], picture[~hole])


def test_migan_is_not_shown_what_it_has_to_find(tmp_path: Path) -> None:
    """Would catch the truth in the hole, which its pipeline gives back in part: seen as an LPIPS of 0.011."""
    fill = baselines(migan_stand_in(tmp_path / "same.onnx", ("Identity", ["image"], "result")))["MI-GAN"]
    one, hole = smooth_pixels(16, 16), box_mask(16, 16, 4, 4, 12, 12)
    other = np.where(hole[:, :, None], 255 - one, one)
    np.testing.assert_array_equal(fill(one, hole), fill(other, hole))


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"migan_pipeline_v2\.onnx"):
        migan(tmp_path / "none.onnx")
    (tmp_path / "some.onnx").write_bytes(b"no network")
    with pytest.raises(ConfigError, match="ONNX"):
        migan(tmp_path / "some.onnx")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"'\.\[reproduce\]'"):
        telea()
