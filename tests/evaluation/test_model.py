"""A model scored on folders: catches pictures written under the wrong name, and figures of the wrong set."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import maskmend.evaluation.model as evaluation
from maskmend.errors import ConfigError, DataError, WeightsError
from maskmend.masks.sets import make_masks
from maskmend.pipeline import InpaintPipeline


def small_set(tmp_path: Path, side: int, count: int = 5) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    images = tmp_path / "images"
    images.mkdir()
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(images / f"{i}.png")
    make_masks("random_walk", images, tmp_path / "masks")
    return images, tmp_path / "masks"


def features(pictures: np.ndarray) -> np.ndarray:
    return torch.from_numpy(np.stack(pictures)).float().flatten(1)[:, :6].numpy()


def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).abs().mean((1, 2, 3))


def test_pictures_are_written_under_their_names_and_known_pixels_are_kept(
    tiny_pipeline: InpaintPipeline, tmp_path: Path
) -> None:
    images, masks = small_set(tmp_path, tiny_pipeline.resolution)
    seconds = evaluation.fill_folder(tiny_pipeline, images, masks, tmp_path / "out", seed=3)
    assert seconds > 0
    for i in range(5):
        truth = np.asarray(Image.open(images / f"{i}.png"))
        mask = np.asarray(Image.open(masks / f"{i}.png")) > 127
        filled = np.asarray(Image.open(tmp_path / "out" / "composited" / f"{i}.png"))
        assert np.array_equal(filled[~mask], truth[~mask])
        alone = tiny_pipeline(truth, mask, seed=3 + i)
        assert np.array_equal(filled, alone.pictures[0].pixels)
        whole = np.asarray(Image.open(tmp_path / "out" / "uncomposited" / f"{i}.png"))
        assert not np.array_equal(whole[~mask], truth[~mask])
        assert (tmp_path / "out" / "reconstruction" / f"{i}.png").is_file()


def test_reports_score_each_kind_against_the_truth(tiny_pipeline: InpaintPipeline, tmp_path: Path) -> None:
    images, masks = small_set(tmp_path, tiny_pipeline.resolution)
    reports = evaluation.evaluate_model(
        tiny_pipeline, images, masks, tmp_path / "out", repeats=5, extract=features, distance=distance
    )
    assert set(reports) == {"composited", "uncomposited", "reconstruction"}
    assert reports["composited"].known_error == 0
    assert reports["composited"].figures["psnr"].value > reports["uncomposited"].figures["psnr"].value
    saved = json.loads((tmp_path / "out" / "report-composited.json").read_text())
    assert saved["images"] == 5
    assert saved["known_error"] == 0
    (tmp_path / "out" / "composited" / "other.png").write_bytes((images / "0.png").read_bytes())
    with pytest.raises(ConfigError, match=r"other\.png is of another evaluation"):
        evaluation.evaluate_model(tiny_pipeline, images, masks, tmp_path / "out", extract=features)


@pytest.mark.parametrize("count", [4, 5])
def test_what_users_get_is_also_scored_by_a_classifier(
    tiny_pipeline: InpaintPipeline, tmp_path: Path, count: int
) -> None:
    """Would catch P-IDS and U-IDS left out without a word, or a stop because of too few images for them."""
    pytest.importorskip("sklearn", reason="the extra 'evaluate' is not installed")
    images, masks = small_set(tmp_path, tiny_pipeline.resolution, count)
    reports = evaluation.evaluate_model(
        tiny_pipeline, images, masks, tmp_path / "out", repeats=2, extract=features, distance=distance
    )
    enough = count == 5
    assert ({"p_ids", "u_ids"} <= set(reports["composited"].figures)) == enough
    assert any("P-IDS and U-IDS left out" in note for note in reports["composited"].notes) == (not enough)
    assert "diversity" not in reports["composited"].figures
    assert "p_ids" not in reports["uncomposited"].figures


def test_without_scikit_learn_the_report_says_what_to_install(
    tiny_pipeline: InpaintPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch an evaluation that needs an extra it does not name, or stops for want of it."""
    monkeypatch.setattr("maskmend.evaluation.folders.find_spec", lambda name: None)
    images, masks = small_set(tmp_path, tiny_pipeline.resolution)
    reports = evaluation.evaluate_model(
        tiny_pipeline, images, masks, tmp_path / "out", repeats=2, extract=features, distance=distance
    )
    assert "p_ids" not in reports["composited"].figures
    assert any("'.[evaluate]'" in note for note in reports["composited"].notes)


def test_the_seed_reaches_the_bootstrap(tiny_pipeline: InpaintPipeline, tmp_path: Path) -> None:
    """Would catch intervals drawn with a seed of their own, whatever seed was asked for."""
    images, masks = small_set(tmp_path, tiny_pipeline.resolution)
    ends = {}
    for seed in (3, 4):
        reports = evaluation.evaluate_model(
            tiny_pipeline, images, masks, tmp_path / "out", seed=seed, repeats=5, extract=features,
            distance=distance,
        )  # fmt: skip
        # The reconstruction is the same whatever the fills' seed, so only the bootstrap can move its interval
        figure = reports["reconstruction"].figures["psnr"]
        ends[seed] = (figure.value, figure.low)
        assert all(report.settings["seed"] == seed for report in reports.values())
    assert ends[3][0] == ends[4][0]
    assert ends[3][1] != ends[4][1]


def test_missing_weights_are_told_before_any_work(
    tiny_pipeline: InpaintPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, masks = small_set(tmp_path, tiny_pipeline.resolution)
    monkeypatch.setenv("MASKMEND_CACHE", str(tmp_path / "empty"))
    with pytest.raises(WeightsError, match="maskmend weights fetch"):
        evaluation.evaluate_model(tiny_pipeline, images, masks, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_a_damaged_file_is_named_before_any_picture_is_filled(
    tiny_pipeline: InpaintPipeline, tmp_path: Path, folder: str
) -> None:
    """Would catch hours of filling that end at the last picture."""
    images, masks = small_set(tmp_path, tiny_pipeline.resolution, count=20)
    path = tmp_path / folder / "9.png"  # the last by name
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"9\.png.*intact.*leave such pictures out"):
        evaluation.evaluate_model(
            tiny_pipeline, images, masks, tmp_path / "out", extract=features, distance=distance
        )
    assert not (tmp_path / "out").exists()


def test_pictures_of_another_size_are_filled_but_not_decoded_whole(
    tiny_pipeline: InpaintPipeline, tmp_path: Path
) -> None:
    images, masks = small_set(tmp_path, tiny_pipeline.resolution + 9, count=2)
    evaluation.fill_folder(tiny_pipeline, images, masks, tmp_path / "out")
    assert len(list((tmp_path / "out" / "composited").iterdir())) == 2
    assert not (tmp_path / "out" / "uncomposited").exists()


def test_one_picture_of_the_models_size_is_scored_as_far_as_it_can_be(
    tiny_pipeline: InpaintPipeline, tmp_path: Path
) -> None:
    """Would catch reports lost, once all is filled, where one picture among larger ones fits."""
    images, masks = small_set(tmp_path, tiny_pipeline.resolution + 9, count=3)
    Image.new("RGB", 2 * (tiny_pipeline.resolution,)).save(images / "1.png")
    make_masks("random_walk", images, masks)
    reports = evaluation.evaluate_model(
        tiny_pipeline, images, masks, tmp_path / "out", repeats=2, distance=distance,
        extract=lambda pictures: np.stack([picture[0, :6, 0] for picture in pictures]).astype(np.float32),
    )  # fmt: skip
    assert {kind: report.images for kind, report in reports.items()} == {
        "composited": 3, "uncomposited": 1, "reconstruction": 1,
    }  # fmt: skip
    assert "fid" in reports["composited"].figures
    for kind in ("uncomposited", "reconstruction"):
        assert {"lpips", "psnr"} <= set(reports[kind].figures)
        assert "FID left out: 1 image is too few" in reports[kind].notes


def test_several_samples_add_diversity_and_the_likeliest(
    tiny_pipeline: InpaintPipeline, tmp_path: Path
) -> None:
    """Would catch a best-of-4 that is the first of four, and samples that change the first one."""

    images, masks = small_set(tmp_path, tiny_pipeline.resolution, count=3)
    reports = evaluation.evaluate_model(
        tiny_pipeline, images, masks, tmp_path / "out", samples=3, repeats=5, extract=features,
        distance=distance,
    )  # fmt: skip
    assert reports["composited"].figures["diversity"].value > 0
    assert {"fid", "lpips"} <= set(reports["likeliest"].figures)
    for i in range(3):
        truth = np.asarray(Image.open(images / f"{i}.png"))
        mask = np.asarray(Image.open(masks / f"{i}.png")) > 127
        fills = tiny_pipeline(truth, mask, samples=3, seed=i)
        shown = [np.asarray(Image.open(tmp_path / "out" / name / f"{i}.png"))
                 for name in ("composited", "sample-2", "sample-3", "likeliest")]  # fmt: skip
        wanted = [*fills.pictures, fills.pictures[int(np.argmax(fills.log_likelihood))]]
        for one, other in zip(shown, wanted, strict=True):
            assert np.array_equal(one, other.pixels)
