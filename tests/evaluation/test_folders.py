"""Evaluation of folders, with a feature function and a distance of one line each."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from fakes import photograph
from maskmend.errors import ConfigError, DataError, MaskmendError, WeightsError
from maskmend.evaluation.folders import evaluate_folders
from maskmend.evaluation.report import METRICS, Report
from maskmend.masks.sets import make_masks

COUNT, SIDE = 12, 20


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKMEND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def means(images: np.ndarray) -> np.ndarray:
    return np.concatenate([images.mean(axis=(1, 2)), images.std(axis=(1, 2))], axis=1).astype(np.float32)


def gap(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).abs().mean(dim=(1, 2, 3))


FAKES = {"extract": means, "distance": gap, "repeats": 10}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """truths, results (30 levels brighter in the hole), a second fill (60), masks; one in a subfolder."""
    generator = np.random.default_rng(0)
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[6:14, 6:14] = True
    for index in range(COUNT):
        truth = generator.integers(0, 150, (SIDE, SIDE, 3), dtype=np.uint8)
        name = f"{'sub/' if index == 0 else ''}{index:03}.png"
        pictures = {"truths": truth, "masks": mask.astype(np.uint8) * 255}
        for folder, change in (("results", 30), ("second", 60)):
            pictures[folder] = truth.copy()
            pictures[folder][mask] += change
        for folder, pixels in pictures.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return tmp_path


def test_every_metric_on_known_changes(folders: Path) -> None:
    pytest.importorskip("sklearn", reason="the extra 'evaluate' is not installed")
    report = evaluate_folders(
        folders / "results", folders / "truths", folders / "masks", other_fills=[folders / "second"], **FAKES
    )
    assert report.images == COUNT
    assert list(report.figures) == [name for name in METRICS if name != "known_error"]
    assert report.known_error == 0
    share = 64 / SIDE**2
    assert report.figures["hole_l1"].value == pytest.approx(30 / 255)
    assert report.figures["seam_l1"].value == pytest.approx(30 / 255)
    assert report.figures["psnr"].value == pytest.approx(10 * np.log10(255**2 / (900 * share)))
    assert report.figures["lpips"].value == pytest.approx(share * 30 / 127.5, rel=1e-4)
    assert report.figures["diversity"].value == pytest.approx(share * 30 / 127.5, rel=1e-4)
    assert report.figures["fid"].value > 0
    (note,) = report.notes
    assert note.startswith(f"FID over {COUNT} images is biased upwards")


def test_a_set_of_published_size_has_no_warning(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a warning that stands under every report, or that comes where no FID was asked for."""
    both = (folders / "results", folders / "truths")
    assert not evaluate_folders(*both, metrics=["psnr"], **FAKES).notes
    assert evaluate_folders(*both, metrics=["fid"], **FAKES).notes
    monkeypatch.setattr("maskmend.evaluation.folders.STEADY", COUNT)
    assert not evaluate_folders(*both, metrics=["fid"], **FAKES).notes


def test_a_folder_with_itself(folders: Path) -> None:
    truths = folders / "truths"
    report = evaluate_folders(truths, truths, metrics=["fid", "psnr", "ssim", "lpips"], **FAKES)
    assert report.figures["fid"].value == pytest.approx(0, abs=1e-3)
    assert report.figures["ssim"].value == pytest.approx(1)
    assert report.figures["lpips"].value == 0
    assert report.figures["psnr"].value == 100
    assert report.digests["results"] == report.digests["truths"]
    json.dumps(report.to_dict(), allow_nan=False)


def test_the_same_call_gives_the_same_report(folders: Path) -> None:
    """Would catch chance that no seed governs, and features served for another set from the cache."""
    calls = [
        evaluate_folders(folders / "results", folders / "truths", folders / "masks", network="means", **FAKES)
        for _ in range(2)
    ]
    assert calls[0].to_dict() == calls[1].to_dict()


def test_formats_may_differ_and_known_changes_are_seen(folders: Path) -> None:
    path = folders / "results" / "003.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[0, 0, 0] += 7
    path.unlink()
    Image.fromarray(pixels).save(path.with_suffix(".bmp"))
    report = evaluate_folders(
        folders / "results", folders / "truths", folders / "masks", metrics=["known_error"], **FAKES
    )
    assert report.known_error == 7


def test_inverted_masks(folders: Path) -> None:
    report = evaluate_folders(
        folders / "results", folders / "truths", folders / "masks", metrics=["hole_l1", "known_error"],
        invert_masks=True, **FAKES,
    )  # fmt: skip
    assert report.figures["hole_l1"].value == 0
    assert report.known_error == 30


def test_no_mask_is_taken_for_a_photograph(tmp_path: Path) -> None:
    """Would catch advice to give --mask-threshold, which evaluation has not."""
    for folder, level in (("results", 40), ("truths", 10), ("masks", None)):
        (tmp_path / folder).mkdir()
        pixels = photograph() if level is None else np.full((64, 64, 3), level, np.uint8)
        Image.fromarray(pixels).save(tmp_path / folder / "a.png")
    folders = (tmp_path / "results", tmp_path / "truths", tmp_path / "masks")
    report = evaluate_folders(*folders, metrics=["hole_l1", "known_error"])
    assert report.figures["hole_l1"].value == pytest.approx(30 / 255)
    assert report.known_error == 30


def test_the_masks_hash_is_that_of_their_manifest(tmp_path: Path) -> None:
    """Would catch two hashes for one set of masks: of other bytes, or in the order of the results."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(("a.q.jpg", "a.webp", "b/c.bmp")):
        for folder, path in (("truths", name), ("results", str(Path(name).with_suffix(".png")))):
            place = tmp_path / folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (16 + number, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place)
    manifest = make_masks("random_walk", tmp_path / "truths", tmp_path / "masks", seed=3)
    folders = (tmp_path / "results", tmp_path / "truths", tmp_path / "masks")
    report = evaluate_folders(*folders, metrics=["hole_l1"])
    assert report.digests["masks"] == manifest["sha256"]


def test_an_empty_mask_is_noted_not_averaged(folders: Path) -> None:
    """Would catch one NaN that turns the mean of the whole set into NaN."""
    Image.new("L", (SIDE, SIDE)).save(folders / "masks" / "004.png")
    report = evaluate_folders(
        folders / "results", folders / "truths", folders / "masks", metrics=["hole_l1"], **FAKES
    )
    assert report.figures["hole_l1"].value == pytest.approx(30 / 255)
    assert "1 image has nothing to measure and does not count" in report.notes[0]


def test_truths_without_result_are_noted(folders: Path) -> None:
    (folders / "results" / "005.png").unlink()
    report = evaluate_folders(folders / "results", folders / "truths", metrics=["psnr"], **FAKES)
    assert report.images == COUNT - 1
    assert report.notes == ("1 truth has no result and was left out",)


@pytest.mark.parametrize("folder", ["truths", "masks"])
def test_a_result_without_partner_is_named(folders: Path, folder: str) -> None:
    (folders / folder / "007.png").unlink()
    with pytest.raises(DataError, match=r"1 of 12 results.*'007'"):
        evaluate_folders(folders / "results", folders / "truths", folders / "masks", **FAKES)


@pytest.mark.parametrize("folder", ["truths", "masks", "second"])
def test_a_size_that_differs_is_named(folders: Path, folder: str) -> None:
    Image.new("L", (SIDE + 1, SIDE)).convert("RGB").save(folders / folder / "002.png")
    with pytest.raises(DataError, match=r"002: the result is 20x20, its .* 21x20"):
        evaluate_folders(
            folders / "results",
            folders / "truths",
            folders / "masks",
            other_fills=[folders / "second"],
            **FAKES,
        )


def test_two_files_of_one_name_are_refused(folders: Path) -> None:
    Image.new("RGB", (SIDE, SIDE)).save(folders / "results" / "001.bmp")
    with pytest.raises(DataError, match="share the name '001'"):
        evaluate_folders(folders / "results", folders / "truths", **FAKES)


def test_bad_requests_are_named(folders: Path, tmp_path: Path) -> None:
    results, truths = folders / "results", folders / "truths"
    with pytest.raises(ConfigError, match=r"'fdi'.*fid"):
        evaluate_folders(results, truths, metrics=["fdi"], **FAKES)
    with pytest.raises(ConfigError, match="folder of masks"):
        evaluate_folders(results, truths, metrics=["hole_l1"], **FAKES)
    with pytest.raises(ConfigError, match="repeats=0"):
        evaluate_folders(results, truths, **{**FAKES, "repeats": 0})
    with pytest.raises(DataError, match="no folder"):
        evaluate_folders(results, tmp_path / "absent", **FAKES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        evaluate_folders(tmp_path / "empty", truths, **FAKES)
    (results / "006.png").write_bytes(b"junk")
    with pytest.raises(MaskmendError, match=r"006\.png"):
        evaluate_folders(results, truths, **FAKES)


def test_files_that_cannot_be_read_are_all_named_before_any_work(folders: Path) -> None:
    """Would catch figures of fewer pictures, and a user who mends one file, waits, and hears of the next."""
    whole = (folders / "truths" / "003.png").read_bytes()
    (folders / "truths" / "003.png").write_bytes(whole[: len(whole) // 2])
    (folders / "masks" / "005.png").write_bytes(b"junk")
    told: list[str] = []
    with pytest.raises(DataError) as found:
        evaluate_folders(
            folders / "results",
            folders / "truths",
            folders / "masks",
            progress=lambda stage, done, total: told.append(stage),
            **FAKES,
        )
    first, second = folders / "truths" / "003.png", folders / "masks" / "005.png"
    assert f"2 files cannot be used ({first}, {second}); of the first: image {first} is " in str(found.value)
    assert "intact copy. Or leave such pictures out of all folders" in str(found.value)
    assert told == []
    for path in (folders / "truths").rglob("*.png"):
        path.write_bytes(b"junk")
    with pytest.raises(DataError, match=r"13 files .*010\.png and 3 more\)"):
        evaluate_folders(folders / "results", folders / "truths", folders / "masks", **FAKES)


def test_a_file_that_cannot_be_read_is_the_news_where_it_has_no_mask(folders: Path) -> None:
    """Would catch names called different where `masks make` passed over a damaged picture."""
    (folders / "results" / "004.png").write_bytes(b"junk")
    (folders / "masks" / "004.png").unlink()
    with pytest.raises(DataError, match=r"004\.png cannot be read.*leave such pictures out"):
        evaluate_folders(folders / "results", folders / "truths", folders / "masks", **FAKES)


def test_absent_weights_are_told_first(folders: Path) -> None:
    """Would catch minutes of work before the error that one command would have spared."""
    with pytest.raises(WeightsError, match="maskmend weights fetch"):
        evaluate_folders(folders / "absent", folders / "truths", metrics=["fid"])
    with pytest.raises(WeightsError, match="lpips-alexnet"):
        evaluate_folders(folders / "absent", folders / "truths", metrics=["lpips"])


def test_pixel_figures_need_no_network(folders: Path) -> None:
    report = evaluate_folders(folders / "results", folders / "truths", metrics=["psnr", "ssim"])
    assert set(report.figures) == {"psnr", "ssim"}


def test_own_features_are_not_cached_without_a_name(folders: Path, cache: Path) -> None:
    """Would catch features of one network served for another."""
    evaluate_folders(folders / "results", folders / "truths", metrics=["fid"], **FAKES)
    assert not cache.exists()


def test_progress_reaches_the_end_of_each_stage(folders: Path) -> None:
    told: dict[str, tuple[int, int]] = {}
    evaluate_folders(
        folders / "results", folders / "truths", metrics=["fid", "lpips", "psnr"], **FAKES,
        progress=lambda stage, done, total: told.__setitem__(stage, (done, total)),
    )  # fmt: skip
    assert set(told) == {"features of the results", "features of the truths", "LPIPS", "pixels"}
    assert set(told.values()) == {(COUNT, COUNT)}


def test_report_as_file_and_table(folders: Path, tmp_path: Path) -> None:
    report = evaluate_folders(
        folders / "results", folders / "truths", folders / "masks", metrics=["fid", "psnr", "known_error"],
        seconds_per_image=0.25, **FAKES,
    )  # fmt: skip
    report.save(tmp_path / "report.json")
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored == json.loads(json.dumps(report.to_dict()))
    assert stored["figures"]["fid"]["low"] <= stored["figures"]["fid"]["value"]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report.table())
    shown = console.export_text()
    for text in ("FID", "PSNR", "known-pixel error", "95% interval", "seconds an image", "masks sha256"):
        assert text in shown


def test_notes_keep_their_brackets() -> None:
    """Would catch advice to install an extra whose name the table took for markup."""
    report = Report(images=1, figures={}, notes=("left out: pip install '.[evaluate]'",))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report.table())
    assert "'.[evaluate]'" in console.export_text()


@pytest.mark.parametrize("metrics", [None, ["fid", "psnr"]], ids=str)
def test_one_image_has_no_spread_and_is_no_reason_to_fail(folders: Path, metrics: list[str] | None) -> None:
    """Would catch a report of an hour's fills lost to the covariance of its one picture."""
    for path in (folders / "results").glob("*.png"):
        path.unlink()  # the one in a folder below is left
    report = evaluate_folders(folders / "results", folders / "truths", metrics=metrics, **FAKES)
    assert report.images == 1
    assert "psnr" in report.figures
    assert not {"fid", "kid", "p_ids"} & set(report.figures)
    assert f"FID{' and KID' if metrics is None else ''} left out: 1 image is too few" in report.notes


def test_too_few_images_for_folds_are_no_reason_to_fail(tmp_path: Path) -> None:
    """Would catch an evaluation that computes everything and then stops at P-IDS."""
    for folder in ("truths", "results"):
        (tmp_path / folder).mkdir()
        for n in range(3):
            Image.fromarray(np.full((16, 16, 3), 40 * n + 9, np.uint8)).save(tmp_path / folder / f"{n}.png")
    report = evaluate_folders(
        tmp_path / "results",
        tmp_path / "truths",
        extract=lambda images: images.reshape(len(images), -1)[:, :5].astype(np.float32),
        distance=lambda a, b: (a - b).abs().mean((1, 2, 3)),
        repeats=2,
    )
    assert "p_ids" not in report.figures
    assert any("3 images are too few" in note for note in report.notes)
