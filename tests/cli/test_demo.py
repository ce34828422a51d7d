"""The demo on a tiny model: every file it promises, a report that adds up, nothing left after an error."""

import json
from io import StringIO

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import maskmend
from fakes import box_mask, smooth_pixels
from maskmend.assets import SAMPLES
from maskmend.cli import demo
from maskmend.errors import DataError, ImageError, ModelError

pytestmark = pytest.mark.slow

SIZES = {"long": (20, 34), "square": (16, 16)}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Two pictures with masks, as they are shipped."""
    folder = tmp_path_factory.mktemp("samples")
    for name, (height, width) in SIZES.items():
        Image.fromarray(smooth_pixels(height, width)).save(folder / f"{name}.png")
        mask = box_mask(height, width, 4, 5, 12, 13)
        Image.fromarray(mask).convert("L").save(folder / f"{name}.mask.png")
    return folder


@pytest.fixture
def console():
    return Console(file=StringIO(), width=200)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch, samples):
    pairs = demo.sample_pairs(samples)
    monkeypatch.setattr(demo, "sample_pairs", lambda: pairs)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, samples, tiny_model):
    """A folder that a demo was written into, and what it said."""
    out, said = tmp_path_factory.mktemp("demo") / "deep [red]" / "out", StringIO()
    with pytest.MonkeyPatch.context() as patch:
        pairs = demo.sample_pairs(samples)
        patch.setattr(demo, "sample_pairs", lambda: pairs)
        demo.run_demo(out, model=str(tiny_model), seed=5, samples=3, console=Console(file=said, width=200))
    return out, said.getvalue()


def test_every_promised_file_is_written_and_no_other(finished):
    out, said = finished
    assert str(out / "contact-sheet.png") in said  # brackets of a folder's name are no markup
    results = {f"{name}{kind}.png" for name in SIZES for kind in ("", "-input", "-fill1", "-fill2", "-fill3")}
    assert {path.name for path in out.iterdir()} == results | {
        "contact-sheet.png", "steps.gif", "report.json",
    }  # fmt: skip


def test_the_animation_has_a_frame_for_each_step(finished):
    """Catches frames dropped by the optimiser, and an animation that stops after one round."""
    pictures = json.loads((finished[0] / "report.json").read_text())["pictures"].values()
    with Image.open(finished[0] / "steps.gif") as animation:
        # One token a step is the least, so that few tokens take few steps.
        assert animation.n_frames == 1 + max(picture["tokens_filled"] for picture in pictures)
        assert animation.info["loop"] == 0


def test_the_report_says_what_was_done_and_that_known_pixels_stayed(finished):
    report = json.loads((finished[0] / "report.json").read_text())
    assert report["seed"] == 5
    assert report["samples"] == 3
    assert report["maskmend"] == maskmend.__version__
    assert report["settings"]["steps"] == 8
    stages = {"load", "fill", "contact sheet", "animation", "save"}
    assert stages | {f"fill.{s}" for s in ("crop", "encode", "predict", "draw", "composite")} == set(
        report["seconds"]
    )
    parts = sum(spent for stage, spent in report["seconds"].items() if stage.startswith("fill."))
    assert parts <= report["seconds"]["fill"] + 0.01
    assert set(report["pictures"]) == set(SIZES)
    for picture in report["pictures"].values():
        assert picture["known_pixel_error"] == 0
        assert len(picture["log_likelihood"]) == 3
        assert picture["best"] == np.argsort(picture["log_likelihood"])[1]
        assert 0 < picture["hole_share"] < 1
        assert picture["mean_uncertainty_nats"] > 0


def test_the_results_are_the_fills(finished, samples):
    """Catches a best fill that is another one, and inputs that show what was hidden."""
    out, _ = finished
    report = json.loads((out / "report.json").read_text())
    for name in SIZES:
        best = report["pictures"][name]["best"] + 1
        read = {
            key: np.asarray(Image.open(out / f"{name}{key}.png")) for key in ("", f"-fill{best}", "-input")
        }
        np.testing.assert_array_equal(read[""], read[f"-fill{best}"])
        source = np.asarray(Image.open(samples / f"{name}.png"))
        mask = np.asarray(Image.open(samples / f"{name}.mask.png")) > 0
        np.testing.assert_array_equal(read[""][~mask], source[~mask])
        assert (read["-input"][mask] == 128).all()


def test_it_says_where_to_look_and_what_to_do_next(finished):
    out, said = finished
    assert str(out / "contact-sheet.png") in said
    assert str(out / "report.json") in said
    assert "maskmend inpaint" in said


def test_a_missing_model_leaves_no_folder_behind(tmp_path, console):
    with pytest.raises(ModelError, match="no model"):
        demo.run_demo(tmp_path / "out", model=str(tmp_path / "nowhere"), console=console)
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_an_error_of_ours(tmp_path, tiny_model, console):
    """Catches a bare FileExistsError."""
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ImageError, match=r"cannot make folder .*out .*choose another"):
        demo.run_demo(tmp_path / "out", model=str(tiny_model), console=console)
    assert (tmp_path / "out").read_text() == "mine"


def test_missing_samples_are_an_incomplete_installation(tmp_path, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(DataError, match="installation is incomplete"):
        demo.sample_pairs(tmp_path)


def test_shipped_samples_have_masks_of_their_size(monkeypatch):
    """Catches a sample picture without its mask."""
    monkeypatch.undo()
    if not SAMPLES.is_dir():
        pytest.skip("no shipped samples in this checkout")
    pairs = demo.sample_pairs()
    assert len(pairs) >= 4
    for _, image, mask in pairs:
        with Image.open(image) as one, Image.open(mask) as two:
            assert one.size == two.size
