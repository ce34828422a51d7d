"""`evaluate`, `reproduce` and `study` from the command line to their files, with networks of a few lines.

Catches options that are read and forgotten, and commands that no longer fit the functions they call.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import nn

from experiments.reproduce.conftest import mean_distance, small_features
from fakes import box_mask, smooth_pixels
from maskmend.cli import main
from maskmend.experiments.ablation import run as study_run
from maskmend.experiments.ablation.ingredients import CHANGES, cumulative
from maskmend.experiments.reproduce import run as experiment_run
from maskmend.experiments.reproduce.run import QUICK_IMAGES, QUICK_REPEATS
from maskmend.experiments.reproduce.trial import TrialRunner
from maskmend.images.picture import load_image
from maskmend.importers.coursework.published import COURSEWORK_DECODING
from maskmend.masks.sets import make_masks
from maskmend.perceptual.inception import Inception
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline

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


def test_results_are_scored_and_reported(images: Path, tmp_path: Path) -> None:
    """Would catch a seed, draws or masks that do not reach the report, and a report that is not written."""
    manifest = make_masks("boxes", images, tmp_path / "masks")
    results = write(tmp_path / "results", [smooth_pixels(SIDE, SIDE, n) // 2 for n in range(COUNT)])
    out = tmp_path / "report.json"
    progress = succeed(
        "evaluate", "--images", images, "--results", results, "--masks", tmp_path / "masks", "-o", out,
        "--seed", "3", "--repeats", "4",
    )  # fmt: skip
    report = read(out)
    assert report["images"] == COUNT
    assert report["sha256"]["masks"] == manifest["sha256"]
    assert (report["settings"]["seed"], report["settings"]["repeats"]) == (3, 4)
    assert {"fid", "kid", "lpips", "hole_l1"} <= set(report["figures"])
    assert report["figures"]["fid"]["value"] > 0
    assert "FID" in progress.stdout
    assert manifest["sha256"][:16] in progress.stdout


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


@pytest.mark.parametrize(
    "options", [["--set", "steps=3"], ["--samples", "3"], ["--preset", "report"]], ids=str
)
def test_options_for_a_model_are_refused_with_results(images: Path, options: list[str]) -> None:
    """Would catch a setting of fills that changes nothing, as the fills are there."""
    refused = invoke("evaluate", "--images", images, "--results", images, *options)
    assert refused.exit_code == 2
    assert f"--results has no use for {options[0]}" in refused.stderr


def test_scores_want_a_file_before_the_work_begins(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a folder named for the scores that is noticed after minutes of measuring."""
    monkeypatch.setattr(Inception, "load", lambda **_: pytest.fail("it began"))
    refused = invoke("evaluate", "--images", images, "--results", images, "-o", tmp_path)
    assert refused.exit_code == 2
    assert "is a folder: with --results name a file" in refused.stderr


def test_a_model_fills_as_the_report_did(
    images: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a preset that changes nothing or not all, and a --set that does not go before it."""
    given = recorded(monkeypatch)
    make_masks("boxes", images, tmp_path / "masks")
    command = ["evaluate", "--images", images, "--model", tiny_model, "--masks", tmp_path / "masks"]
    command += ["--preset", "coursework", "--repeats", "2", "--seed", "5"]
    succeed(*command, "-o", tmp_path / "out")
    assert given
    for settings in given:
        assert {name: settings[name] for name in COURSEWORK_DECODING} == COURSEWORK_DECODING
    assert given[0]["seed"][:2] == [5, 6]
    for kind in ("composited", "uncomposited", "reconstruction"):
        report = read(tmp_path / "out" / f"report-{kind}.json")
        assert (report["images"], report["settings"]["seed"]) == (COUNT, 5)
        assert load_image(tmp_path / "out" / kind / "05.png").pixels.shape == (SIDE, SIDE, 3)
    given.clear()
    succeed(*command, "--set", "steps=9", "-o", tmp_path / "changed")
    assert {name: given[0][name] for name in COURSEWORK_DECODING} == COURSEWORK_DECODING | {"steps": 9}


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The named arguments of every fill from now on."""
    given: list[dict[str, Any]] = []
    fill: Callable[..., Any] = InpaintPipeline.__call__

    def recording(pipe: InpaintPipeline, *images: Any, **settings: Any) -> Any:
        given.append(settings)
        return fill(pipe, *images, **settings)

    monkeypatch.setattr(InpaintPipeline, "__call__", recording)
    return given


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


def test_a_study_trains_and_scores_each_rung(
    images: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch steps, seed, limit or the tokenizer that do not reach the trainings."""
    ingredients = cumulative(changes=CHANGES[:1])
    monkeypatch.setattr(study_run, "cumulative", lambda: ingredients)
    out = tmp_path / "out"
    progress = succeed(
        "study", "--train", images, "--validation", images, "--images", images, "--tokenizer", tiny_model,
        "-o", out, "--steps", "1", "--limit", "4", "--repeats", "2", "--seed", "6",
    )  # fmt: skip
    facts = read(out / "page.json")
    assert facts["images"] == 4
    assert [row["ingredient"]["name"] for row in facts["rows"]] == [
        ingredient.name for ingredient in ingredients
    ]
    budget = facts["budget"]
    assert (budget["steps"], budget["seed"], budget["codes"], budget["grid"]) == (1, 6, 24, 4)
    assert budget["tokenizer"] == str(tiny_model)
    assert all(np.isfinite(row["trial"]["lpips"]["value"]) for row in facts["rows"])
    assert len(list((out / "trainings").iterdir())) == len(ingredients)
    assert str(out / "page.html") in progress.stdout
