"""The limit of what a model learnt, measured from pictures; `maskmend calibrate`."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fakes import box_mask, smooth_pixels
from maskmend.cli import main
from maskmend.config import to_dict
from maskmend.errors import ConfigError
from maskmend.fill.familiarity import hole_uncertainty
from maskmend.fill.texture import texture_of
from maskmend.pipeline import InpaintPipeline
from maskmend.training import calibration
from maskmend.training.calibration import PERCENTILE, VIEWS, measure_domain, spread

PICTURES = [smooth_pixels(16, 20, seed) for seed in range(6)]


def calibrate(*command: object):
    return CliRunner().invoke(main, ["calibrate", *map(str, command)], prog_name="maskmend")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for n, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(folder / f"{n}.png")
    return folder


@pytest.fixture
def model(tmp_path, tiny_model):
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_the_limit_is_a_high_percentile_of_the_pictures(tiny_pipeline):
    seen = []
    domain, distances = measure_domain(tiny_pipeline, PICTURES, "waves", progress=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert len(distances) == VIEWS * len(PICTURES)
    assert domain.learnt == "waves"
    assert domain.distance == pytest.approx(np.percentile(distances, PERCENTILE), rel=1e-3)


def test_a_picture_measures_what_its_fill_says(tiny_pipeline, tiny_model):
    """Catches a limit on another scale than the fills': another encoding, or a mean of other tokens."""
    square = smooth_pixels(16, 16, 3)
    domain, _ = measure_domain(tiny_pipeline, PICTURES, "waves")
    assert domain.texture is not None
    pipe = InpaintPipeline.from_pretrained(tiny_model)
    pipe.domain = domain
    hole = box_mask(16, 16, 15, 15, 16, 16)
    known = texture_of([(square, ~hole)])
    assert known is not None
    assert pipe(square, hole).unfamiliar == pytest.approx(domain.texture.distance(known) / domain.distance)


def test_a_hole_measures_what_its_fill_says(tiny_pipeline, monkeypatch):
    """Catches a limit of the uncertainty of other pixels, or after other steps, than that of a fill."""
    hole = box_mask(16, 20, 4, 4, 12, 12)
    monkeypatch.setattr(calibration, "blobs", lambda rng, height, width: hole)
    monkeypatch.setattr(calibration, "HOLES_PERCENTILE", 100.0)
    domain, _ = measure_domain(tiny_pipeline, PICTURES, "waves")
    most = max(hole_uncertainty(tiny_pipeline(picture, hole)) for picture in PICTURES)
    assert domain.uncertainty == pytest.approx(most, rel=1e-3)


def test_of_many_pictures_some_are_taken_from_all():
    assert spread(7) == list(range(7))
    many = spread(10_000)
    assert len(many) == len(set(many)) == calibration.MOST
    assert many[-1] > 9_900


def test_a_name_that_cannot_be_told_stops_it_before_the_work(tiny_pipeline):
    seen = []
    with pytest.raises(ConfigError, match="one line"):
        measure_domain(tiny_pipeline, PICTURES, "", progress=seen.append)
    assert seen == []


def test_the_command_writes_the_limit_into_the_model(model, images, tiny_pipeline):
    """Catches a calibration that drops the model's settings, or that its fills do not know of."""
    before = json.loads((model / "model_index.json").read_text())
    result = calibrate(model, "--images", images, "--learnt", "soft waves")
    assert result.exit_code == 0, result.output
    wanted, _ = measure_domain(tiny_pipeline, PICTURES, "soft waves")
    assert InpaintPipeline.from_pretrained(model).domain == wanted
    after = json.loads((model / "model_index.json").read_text())
    assert after.pop("domain") == to_dict(wanted)
    assert after == before
    assert f"from distance {wanted.distance:.3f} on" in result.stdout
    assert "6 pictures are few for these limits" in result.stderr
    calibrate(model, "--images", images, "--learnt", "waves")
    again, _ = measure_domain(tiny_pipeline, PICTURES, "waves")
    assert InpaintPipeline.from_pretrained(model).domain == again


def test_what_cannot_be_calibrated_is_one_line(model, images, tmp_path):
    """Catches a shipped model written over by its name, and a traceback for a folder that is none."""
    empty = tmp_path / "empty"
    empty.mkdir()
    for command, words in (
        (["cats64", "--images", images, "--learnt", "cats"], "no folder cats64: give a model folder"),
        ([empty, "--images", images, "--learnt", "cats"], "no model_index.json"),
        ([model, "--images", empty, "--learnt", "cats"], "no images in"),
        ([model, "--images", images, "--learnt", "a\nb"], "in one line"),
    ):
        result = calibrate(*command)
        assert result.exit_code == 2
        assert words in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert "domain" not in json.loads((model / "model_index.json").read_text())
