"""Trials: what they measure, and that one measured before is not measured again."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import ImageOps

from experiments.reproduce.conftest import small_features
from fakes import tiny_models
from maskmend.experiments.reproduce.baselines import leave_grey
from maskmend.experiments.reproduce.dataset import TestSet
from maskmend.experiments.reproduce.trial import Trial, TrialRunner, difference, lpips_difference, tied
from maskmend.fill.image_filler import ImageFiller
from maskmend.masks.sets import masks_hash
from maskmend.metrics.fid import fid
from maskmend.models.vqgan import VQGAN
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.hashes import weights_hash

Make = Callable[..., TrialRunner]


def test_figures_are_those_of_the_fills(make_runner: Make, test_set: TestSet) -> None:
    """Would catch other seeds, settings or pictures being scored than those a user gets."""
    runner = make_runner(seed=3)
    trial = runner.measure(steps=2, seam="hard")
    fills = [
        runner.pipe(image, mask, seed=3 + n, steps=2, seam="hard")
        for n, (image, mask) in enumerate(zip(test_set.images, test_set.masks, strict=True))
    ]
    composited = np.stack([fill.pictures[0].pixels for fill in fills])
    whole = np.stack([np.asarray(runner.pipe.draw_tokens(fill.tokens, fill.region)[0]) for fill in fills])
    truths = small_features(np.stack(test_set.images))
    assert trial.fid("composited").value == pytest.approx(fid(small_features(composited), truths), rel=1e-6)
    assert trial.fid("uncomposited").value == pytest.approx(fid(small_features(whole), truths), rel=1e-6)
    apart = np.abs(composited.astype(float) - np.stack(test_set.images)).mean() / 127.5
    assert trial.lpips.value == pytest.approx(apart, rel=1e-4)
    assert trial.known_error == 0
    assert trial.seconds_per_image > 0


def test_a_perfect_fill_scores_nought(make_runner: Make) -> None:
    trial = make_runner().baseline("the truth", lambda image, mask: image)
    assert trial.fid("composited").value == pytest.approx(0, abs=1e-6)
    assert (trial.hole_l1, trial.seam_l1, trial.known_error, trial.uncomposited) == (0, 0, 0, None)


def test_a_method_that_changes_known_pixels_is_found_out(make_runner: Make) -> None:
    trial = make_runner().baseline("brighter", lambda image, mask: np.minimum(image, 250) + np.uint8(3))
    assert trial.known_error == 3


def test_a_trial_measured_before_is_read(make_runner: Make, test_set: TestSet) -> None:
    """Would catch a resumed experiment that measures all again, or takes the figures of something else."""
    calls = []

    def counting(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return small_features(images)

    runner = make_runner(extract=counting)
    first = runner.measure(steps=2)
    after = len(calls)
    assert runner.measure(steps=2) == first
    assert len(calls) == after
    others = [
        lambda: runner.measure(steps=3),
        lambda: make_runner(extract=counting, seed=1).measure(steps=2),
        lambda: make_runner(extract=counting, data=test_set.first(9)).measure(steps=2),
        lambda: make_runner(extract=counting, repeats=6).measure(steps=2),
        lambda: make_runner(extract=counting, distance_network="another").measure(steps=2),
        lambda: runner.baseline("grey", leave_grey),
        lambda: runner.reconstruction(),
    ]
    for measure in others:
        before = len(list(runner.folder.iterdir()))
        measure()
        assert len(list(runner.folder.iterdir())) == before + 1


def test_another_model_is_another_trial(make_runner: Make) -> None:
    """Would catch the figures of yesterday's weights under today's."""
    tokenizer, transformer = tiny_models()
    transformer.bias.data += 1e-3
    other = make_runner(pipe=InpaintPipeline(tokenizer, transformer))
    assert other.digests["model"] != make_runner().digests["model"]
    assert weights_hash(tokenizer) == weights_hash(tiny_models()[0])


def test_another_way_of_filling_is_another_trial_and_another_version_is_not(
    make_runner: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch figures of code that fills otherwise, and hours measured again after a release."""
    measured = make_runner().measure(by=("composited",), steps=2)
    folder = make_runner().folder
    monkeypatch.setattr("maskmend.__version__", "999")
    assert make_runner().measure(by=("composited",), steps=2) == measured
    assert len(list(folder.iterdir())) == 1
    fill = ImageFiller.fill

    def darker(*given: Any) -> Any:
        results = fill(*given)
        for result in results[1:]:  # the first fill stays: its hole may miss what changed
            object.__setattr__(result.pictures[0], "pixels", result.pictures[0].pixels // 2)
        return results

    monkeypatch.setattr(ImageFiller, "fill", darker)
    assert make_runner().measure(by=("composited",), steps=2) != measured
    assert len(list(folder.iterdir())) == 2


def test_another_decoder_s_code_is_another_reconstruction(
    make_runner: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a lower bound measured with code of before."""
    measured = make_runner().reconstruction()
    draw = InpaintPipeline.draw_tokens

    def inverted(*given: Any) -> Any:
        return [ImageOps.invert(image) for image in draw(*given)]

    monkeypatch.setattr(InpaintPipeline, "draw_tokens", inverted)
    assert make_runner().reconstruction() != measured


def test_masks_have_the_hash_that_other_commands_tell(make_runner: Make) -> None:
    """Would catch one set of masks under two names: `masks make` and `evaluate` say the manifest's."""
    runner = make_runner()
    assert runner.digests["masks"] == masks_hash(runner.data.masks)


def test_another_setting_of_the_model_is_another_trial(make_runner: Make) -> None:
    """Would catch figures of sharp colours under a model that blurs them: both have the same weights."""
    tokenizer, transformer = tiny_models()
    other = VQGAN(replace(tokenizer.config, colour_blur=2.0)).eval()
    other.load_state_dict(tokenizer.state_dict())
    blurred = make_runner(pipe=InpaintPipeline(other, transformer))
    assert blurred.digests["model"] != make_runner().digests["model"]


def test_the_first_images_get_a_runner_of_their_own(make_runner: Make) -> None:
    """Would catch truths of all images beside fills of some, and one that measures twice what it has."""
    runner = make_runner()
    few = runner.first(3)
    assert (len(few.data.images), len(few.truths)) == (3, 3)
    assert runner.first(len(runner.data.images)) is runner
    assert runner.first(None) is runner


@pytest.mark.parametrize("content", ["", "{}", '{"trial": {"composited": 3}}', "[]"])
def test_a_damaged_file_is_measured_anew(make_runner: Make, content: str) -> None:
    runner = make_runner()
    first = runner.baseline("grey", leave_grey)
    (path,) = runner.folder.iterdir()
    path.write_text(content)
    again = runner.baseline("grey", leave_grey)
    assert again.composited == first.composited
    assert Trial.from_json(json.loads(path.read_text())["trial"]) == again


def test_reconstruction_is_the_floor_without_a_hole(make_runner: Make, test_set: TestSet) -> None:
    """Would catch a bound measured on something other than the whole picture through the tokenizer."""
    trial = make_runner().reconstruction()
    assert trial.composited is None
    assert trial.fid("uncomposited").value > 0
    assert trial.known_error > 0


def test_a_figure_is_measured_only_where_asked_and_once(make_runner: Make) -> None:
    """Would catch hours spent on features that no table shows, and those of before measured again."""
    calls = []

    def counting(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return small_features(images)

    runner = make_runner(extract=counting)
    calls.clear()
    first = runner.measure(by=("composited",), steps=2)
    assert (len(calls), first.uncomposited) == (1, None)
    ways = [({"steps": 2}, ("composited", "uncomposited")), ({"steps": 2}, ("composited",))]
    assert runner.left(ways) == (1, 1)
    both = runner.measure(steps=2)
    assert len(calls) == 2
    assert both.composited == first.composited
    assert set(both.draws) == {"composited", "uncomposited"}
    assert runner.left(ways) == (0, 0)
    # Another setting with the same pictures: the model's default by another name.
    runner.measure(by=("composited",), steps=2, top_p=1.0)
    assert len(calls) == 2


def test_a_difference_has_the_interval_of_paired_draws(make_runner: Make, test_set: TestSet) -> None:
    """Would catch intervals of two figures taken for that of their difference, and unpaired images."""
    runner = make_runner(repeats=200)

    def off_by(step: int) -> Trial:
        def fill(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
            return np.where(mask[:, :, None], np.minimum(image, 200) + np.uint8(step), image)

        return runner.baseline(f"brighter by {step}", fill)

    a, b = off_by(41), off_by(40)
    gap = difference(a, b, "composited")
    assert gap.value == pytest.approx(a.fid("composited").value - b.fid("composited").value)
    assert gap.high - gap.low < 0.2 * (a.fid("composited").high - a.fid("composited").low)
    assert not tied(a, b, "composited")
    assert tied(a, a, "composited")
    back = difference(b, a, "composited")
    assert (back.low, back.high) == (pytest.approx(-gap.high), pytest.approx(-gap.low))
    lpips = lpips_difference(a, b)
    assert lpips.value == pytest.approx(a.lpips.value - b.lpips.value)
    assert 0 < lpips.low <= lpips.value
