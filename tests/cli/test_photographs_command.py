"""`maskmend photographs` from the command line to its files, with networks of a few lines."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import nn

from fakes import smooth_pixels
from maskmend.cli import main
from maskmend.perceptual.inception import Inception
from maskmend.perceptual.lpips import Lpips
from painters import mean_distance, small_features

pytestmark = pytest.mark.slow


class SmallInception:
    features = staticmethod(small_features)


class SmallLpips(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return mean_distance(a, b)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inception, "load", lambda **options: SmallInception())
    monkeypatch.setattr(Lpips, "load", lambda net: SmallLpips())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(smooth_pixels(40, 48, number)).save(folder / f"{number}.png")
    return folder


def invoke(*command: str | Path) -> Result:
    return CliRunner().invoke(main, ["photographs", *map(str, command)], prog_name="maskmend")


def test_figures_of_squares_and_whole_photographs(images: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Would catch options that are read and forgotten."""
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    page = tmp_path / "docs" / "page.md"
    result = invoke(
        "--model", tiny_model, "--images", images, "--whole", images, "--limit", "2", "--kinds",
        "scratches,blobs", "-o", page, "--work", tmp_path / "kept", "--seed", "3", "--repeats", "4",
        "--set", "steps=2", "--set", "windows=1",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    facts = json.loads((tmp_path / "docs" / "page" / "page.json").read_text())
    assert [(r["group"], r["kind"]) for r in facts["results"]] == [
        ("squares", "scratches"), ("squares", "blobs"), ("whole", "scratches"), ("whole", "blobs"),
    ]  # fmt: skip
    assert list(facts["results"][0]["methods"]) == [
        "OpenCV Telea", "OpenCV Navier-Stokes", "scikit-image biharmonic", "maskmend tiny",
    ]  # fmt: skip
    assert "scikit-image biharmonic" not in facts["results"][1]["methods"]
    assert facts["methods"]["maskmend tiny"]["settings"]["steps"] == 2
    assert facts["photographs"]["squares"]["names"] == ["0.png", "1.png"]
    assert (facts["seed"], facts["repeats"]) == (3, 4)
    for result in facts["results"]:
        for figures in result["methods"].values():
            assert figures["known_error"] == 0
            assert np.isfinite(figures["psnr"]["value"])
    assert page.read_text().startswith("# Photographs repaired")
    assert any((tmp_path / "kept" / "fills" / "maskmend-tiny").iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--images"),
        (["--images", "IMAGES", "--kinds", "scratch"], "scratch"),
        (["--images", "IMAGES", "--migan", "no-such.onnx"], "no-such.onnx"),
        (["--images", "IMAGES", "--credits", "no-such.csv"], "no-such.csv"),
        (["--images", "IMAGES", "-o", "page"], "page.md"),
    ],
)
def test_mistakes_are_one_line(options: list[str], words: str, images: Path, tiny_model: Path) -> None:
    """Would catch a traceback, and a mistake that is told after minutes of filling."""
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    given = [str(images) if word == "IMAGES" else word for word in options]
    told = invoke("--model", tiny_model, *given)
    assert told.exit_code == 2
    assert words in told.stderr
    assert len(told.stderr.splitlines()) == 1
