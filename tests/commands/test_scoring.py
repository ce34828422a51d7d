"""`evaluate`, `reproduce` and `study` from the command line to their files, with networks of a few lines.

Catches options that are read and forgotten, and commands that no longer fit the functions they call.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import nn

from experiment.conftest import mean_distance, small_features
from fakes import box_mask, smooth_pixels
from maskmend.cli import main
from maskmend.metrics.inception import Inception
from maskmend.perceptual import Lpips

SIDE, COUNT = 16, 6
HOLE = box_mask(SIDE, SIDE, 4, 4, 12, 12)


class SmallInception:
    features = staticmethod(small_features)


class SmallLpips(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return mean_distance(a, b)


@pytest.fixture(autouse=True)
def small_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a cache of its own: the true one must never see these networks' features."""
    monkeypatch.setenv("MASKMEND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Inception, "load", lambda **options: SmallInception())
    monkeypatch.setattr(Lpips, "load", lambda net: SmallLpips())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write(tmp_path / "images", [smooth_pixels(SIDE, SIDE, n) for n in range(COUNT)])


def write(folder: Path, pictures: list[np.ndarray]) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def brighter(folder: Path, levels: int) -> Path:
    """The test's images, brighter in the hole."""
    pictures = [smooth_pixels(SIDE, SIDE, n) // 2 for n in range(COUNT)]
    for pixels in pictures:
        pixels[HOLE] += levels
    return write(folder, pictures)


def invoke(*command: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in command], prog_name="maskmend")


def succeed(*command: str | Path) -> Result:
    result = invoke(*command)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_further_fills_give_diversity_and_masks_may_be_black(tmp_path: Path) -> None:
    """Would catch a second --also that replaces the first, and masks read the wrong way round."""
    truths, results = brighter(tmp_path / "truths", 0), brighter(tmp_path / "results", 10)
    second, third = brighter(tmp_path / "second", 20), brighter(tmp_path / "third", 40)
    masks = write(tmp_path / "masks", [np.where(HOLE, 0, 255).astype(np.uint8)] * COUNT)
    out = tmp_path / "report.json"
    command = ["evaluate", "--images", truths, "--results", results, "--masks", masks, "-o", out]
    succeed(*command, "--also", second, "--also", third, "--invert-masks", "--repeats", "2")
    report = read(out)
    assert report["known_error"] == 0
    assert report["figures"]["hole_l1"]["value"] == pytest.approx(10 / 255)
    # Mean over the three pairs of fills, which differ by 10, 20 and 30 levels in the hole
    assert report["figures"]["diversity"]["value"] == pytest.approx(HOLE.mean() * 20 / 127.5, rel=1e-4)
    succeed(*command, "--repeats", "2")
    assert read(out)["known_error"] == 10
    assert "diversity" not in read(out)["figures"]


@pytest.mark.parametrize("options", [["--also", "x"], ["--invert-masks"]], ids=str)
def test_options_for_results_are_refused_with_a_model(
    images: Path, tmp_path: Path, options: list[str]
) -> None:
    """Would catch an option that a model's evaluation takes and ignores."""
    command = [
        "evaluate",
        "--images",
        images,
        "--model",
        "default",
        "--masks",
        images,
        "-o",
        tmp_path / "out",
    ]
    refused = invoke(*command, *options)
    assert refused.exit_code == 2
    assert f"--model has no use for {options[0]}" in refused.stderr
    without = invoke("evaluate", "--images", images, "--results", images, "--invert-masks")
    assert without.exit_code == 2
    assert "--masks FOLDER" in without.stderr
