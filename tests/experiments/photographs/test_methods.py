"""Who takes part: none sees what stood in the hole, and each is known by all that decides its fills."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fakes import box_mask, migan_stand_in, smooth_pixels
from maskmend.errors import ConfigError
from maskmend.experiments.photographs.methods import baselines, our_model
from maskmend.experiments.reproduce.baselines import biharmonic, telea
from maskmend.pipeline import InpaintPipeline


def test_nobody_sees_the_truth(tmp_path: Path, tiny_pipeline: InpaintPipeline) -> None:
    """Would catch MI-GAN's border blended from the truth: its stand-in gives back the picture it is shown."""
    same = migan_stand_in(tmp_path / "same.onnx", ("Identity", ["image"], "result"))
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    one, hole = smooth_pixels(16, 16), box_mask(16, 16, 4, 4, 12, 12)
    other = np.where(hole[:, :, None], 255 - one, one)
    methods = [*baselines(same), our_model("tiny", tiny_pipeline, {})]
    assert [method.name for method in methods] == [
        "OpenCV Telea", "OpenCV Navier-Stokes", "scikit-image biharmonic", "MI-GAN", "maskmend tiny",
    ]  # fmt: skip
    for method in methods:
        filled = method.fill(one, hole, 0)
        np.testing.assert_array_equal(filled, method.fill(other, hole, 0), err_msg=method.name)
        np.testing.assert_array_equal(filled[~hole], one[~hole], err_msg=method.name)


def test_migan_is_shown_teleas_fill(tmp_path: Path) -> None:
    """Would catch another fill under the hole than the page says."""
    same = migan_stand_in(tmp_path / "same.onnx", ("Identity", ["image"], "result"))
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    image, hole = smooth_pixels(16, 16), box_mask(16, 16, 4, 4, 12, 12)
    shown = baselines(same)[-1].fill(image, hole, 0)
    np.testing.assert_array_equal(shown, telea()(image, hole))


def test_biharmonic_continues_a_slope() -> None:
    """Would catch channels or levels mixed up: a plane has no curvature, so it comes back."""
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    slope = np.add.outer(np.arange(16) * 4, np.arange(16) * 2).astype(np.uint8)
    image = np.stack([slope, slope + 50, 200 - slope], axis=-1)
    hole = box_mask(16, 16, 6, 6, 10, 10)
    filled = biharmonic()(np.where(hole[:, :, None], np.uint8(0), image), hole)
    assert np.abs(filled.astype(int) - image)[hole].max() <= 1


def test_biharmonic_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a traceback where the extra is missing."""
    for name in ("skimage", "skimage.restoration"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"'\.\[reproduce\]'"):
        biharmonic()


def test_an_identity_changes_with_settings_and_weights(tiny_pipeline: InpaintPipeline) -> None:
    """Would catch figures of other settings taken from kept fills."""
    plain, fewer = (our_model("tiny", tiny_pipeline, changes) for changes in ({}, {"steps": 2}))
    assert plain.identity != fewer.identity
    assert plain.identity["model"] == fewer.identity["model"]
    assert our_model("tiny", tiny_pipeline, {}).identity == plain.identity


def test_an_identity_changes_with_code_and_libraries_not_with_the_version(
    tiny_pipeline: InpaintPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch kept fills of other code, and days of fills discarded by a release."""
    before = our_model("tiny", tiny_pipeline, {}).identity
    monkeypatch.setattr("maskmend.__version__", "999")
    assert our_model("tiny", tiny_pipeline, {}).identity == before
    for name, answer in (("code_hash", lambda: "other"), ("installed", lambda name: "other")):
        with monkeypatch.context() as changed:
            changed.setattr(f"maskmend.experiments.photographs.methods.{name}", answer)
            assert our_model("tiny", tiny_pipeline, {}).identity != before
