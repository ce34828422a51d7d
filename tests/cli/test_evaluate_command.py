"""`evaluate` from the command line to its files.

Catches options that are read and forgotten, and a command that no longer fits the functions it calls.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import assert_refused, names
from scored import COUNT, SIDE, invoke, read, succeed, write

from fakes import box_mask, smooth_pixels
from maskmend.images.picture import load_image
from maskmend.importers.coursework.published import COURSEWORK_DECODING
from maskmend.masks.sets import make_masks
from maskmend.perceptual.inception import Inception
from maskmend.pipeline import InpaintPipeline

pytestmark = pytest.mark.usefixtures("small_networks")
HOLE = box_mask(SIDE, SIDE, 4, 4, 12, 12)


def brighter(folder: Path, levels: int) -> Path:
    """The test's images, brighter in the hole."""
    pictures = [smooth_pixels(SIDE, SIDE, n) // 2 for n in range(COUNT)]
    for pixels in pictures:
        pixels[HOLE] += levels
    return write(folder, pictures)


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
    assert f"--model does not take {options[0]}" in refused.stderr
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
    assert f"--results does not take {options[0]}" in refused.stderr


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


def test_evaluate_wants_one_kind_of_input(files, tmp_path, tiny_model):
    command = ["evaluate", "--images", str(files)]
    assert_refused(invoke(*command), "--results", "--model")
    assert_refused(invoke(*command, "--model", "default"), "--masks")
    both = ["--model", str(tiny_model), "--masks", str(files), "-o", str(tmp_path / "out")]
    assert_refused(invoke(*command, *both, "--set", "seed=1"), "unknown setting 'seed'")
    assert names(tmp_path) == []
