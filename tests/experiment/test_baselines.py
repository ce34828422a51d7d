"""The other methods: known pixels stay, and what is missing is said."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fakes import box_mask, smooth_pixels
from maskmend.errors import ConfigError
from maskmend.experiment.baselines import leave_grey, migan, telea


def test_grey_and_telea_keep_known_pixels() -> None:
    image, mask = smooth_pixels(16, 16), box_mask(16, 16, 4, 4, 12, 12)
    grey, filled = leave_grey(image, mask), telea()(image, mask)
    assert (grey[mask] == 128).all()
    np.testing.assert_array_equal(grey[~mask], image[~mask])
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    assert np.abs(filled.astype(int) - image)[mask].mean() < np.abs(grey.astype(int) - image)[mask].mean()


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"migan_pipeline_v2\.onnx"):
        migan(tmp_path / "none.onnx")
    (tmp_path / "some.onnx").write_bytes(b"no network")
    with pytest.raises(ConfigError, match="ONNX"):
        migan(tmp_path / "some.onnx")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"maskmend\[reproduce\]"):
        telea()
