"""`reproduce` from the command line to its page.

Catches options that are read and forgotten, and a command that no longer fits the functions it calls.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scored import SIDE, invoke, read, succeed, write

from fakes import smooth_pixels
from maskmend.experiments.reproduce import run as experiment_run
from maskmend.experiments.reproduce.run import QUICK_IMAGES, QUICK_REPEATS
from maskmend.experiments.reproduce.trial import TrialRunner
from maskmend.masks.sets import make_masks

pytestmark = pytest.mark.usefixtures("small_networks")


@pytest.mark.slow
def test_a_quick_reproduction_is_a_page(images: Path, tmp_path: Path, tiny_model: Path) -> None:
    """Would catch a command whose experiment no longer fits it, and a --table that is lost."""
    out = tmp_path / "out"
    progress = succeed(
        "reproduce", "--images", images, "--model", tiny_model, "-o", out, "--quick", "--limit", "2",
        "--table", "schedule-report",
    )  # fmt: skip
    facts = read(out / "page.json")
    assert (facts["images"], facts["repeats"]) == (2, QUICK_REPEATS)
    assert facts["bars"]["known_error"] == 0
    assert facts["schedule-report"]["rows"]
    assert "steps" not in facts
    assert str(out / "page.html") in progress.stdout
    assert (out / "page.html").is_file()
    assert list((out / "trials").iterdir())


def test_options_of_reproduce_reach_the_experiment(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch --quick that measures every image, and masks, seed, draws or grid that are lost."""
    images = write(tmp_path / "images", [smooth_pixels(SIDE, SIDE, n) for n in range(QUICK_IMAGES + 1)])
    make_masks("boxes", images, tmp_path / "boxes")
    asked: list[tuple[TrialRunner, dict[str, Any]]] = []
    monkeypatch.setattr(experiment_run, "reproduce", lambda lab, out, **options: asked.append((lab, options)))
    monkeypatch.setattr("maskmend.experiments.reproduce.baselines.migan", lambda _: None)  # no file is there
    command = ["reproduce", "--images", images, "--model", tiny_model, "-o", tmp_path / "out"]
    succeed(*command, "--quick")
    succeed(
        *command, "--masks", tmp_path / "boxes", "--limit", "3", "--repeats", "2", "--seed", "4", "--no-grid",
        "--migan", tmp_path / "migan.onnx", "--sweep-limit", "2",
    )  # fmt: skip
    (quick, options), (chosen, others) = asked
    assert (len(quick.data.images), quick.repeats, quick.seed) == (QUICK_IMAGES, QUICK_REPEATS, 0)
    assert quick.data.name == "random walk, seed 0"
    assert (options["quick"], options["grid"], options["migan_file"]) == (True, True, None)
    assert (len(chosen.data.images), chosen.repeats, chosen.seed) == (3, 2, 4)
    assert chosen.data.name == "masks of boxes"
    assert (others["quick"], others["grid"]) == (False, False)
    assert others["migan_file"] == tmp_path / "migan.onnx"
    assert (options["sweep_limit"], others["sweep_limit"]) == (None, 2)


def test_without_a_test_set_the_shipped_samples_are_looked_at(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a command that can only be tried by who has pictures that are not shipped."""
    asked: list[tuple[TrialRunner, dict[str, Any]]] = []
    monkeypatch.setattr(experiment_run, "reproduce", lambda lab, out, **options: asked.append((lab, options)))
    command = ["reproduce", "--model", tiny_model, "-o", tmp_path / "out"]
    refused = invoke(*command)  # the samples are 64x64, the tiny model is not
    assert (refused.exit_code, asked) == (2, [])
    assert "give --images" in refused.stderr
    samples = write(tmp_path / "samples", [smooth_pixels(SIDE, SIDE, n) for n in range(3)])
    for number, path in enumerate(sorted(samples.glob("*.png"))):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[number + 2 : 9, 3:8] = 255
        Image.fromarray(mask).save(path.with_suffix(".mask.png"))
    monkeypatch.setattr("maskmend.experiments.reproduce.dataset.SAMPLES", samples)
    progress = succeed(*command)
    assert "shipped samples" in progress.stderr
    assert "published on Kaggle" in progress.stderr
    ((runner, options),) = asked
    assert options["quick"]
    assert [int(mask.sum()) for mask in runner.data.masks] == [35, 30, 25]
    assert invoke(*command, "--masks", samples).exit_code == 2


@pytest.mark.parametrize(("package", "said"), [("cv2", "OpenCV"), ("matplotlib.figure", "Matplotlib")])
def test_reproduce_says_at_once_what_is_not_installed(
    package: str, said: str, images: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch minutes of filling before the first table asks for a package."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(experiment_run, "reproduce", lambda *_, **__: pytest.fail("it began"))
    progress = invoke("reproduce", "--images", images, "--model", tiny_model, "-o", tmp_path / "out")
    assert progress.exit_code == 2
    assert said in progress.stderr
    assert "'.[reproduce]'" in progress.stderr


def test_reproduce_says_at_once_that_migan_cannot_be_used(
    images: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a measurement that begins, and ends where MI-GAN's turn comes."""
    monkeypatch.setattr(experiment_run, "reproduce", lambda *_, **__: pytest.fail("it began"))
    command = ["reproduce", "--images", images, "--model", tiny_model, "-o", tmp_path / "out", "--migan"]
    assert "no file at" in invoke(*command, tmp_path / "nowhere.onnx").stderr
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    assert "cannot read" in invoke(*command, tmp_path / "broken.onnx").stderr
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install onnxruntime" in invoke(*command, tmp_path / "broken.onnx").stderr
