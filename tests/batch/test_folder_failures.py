"""Bad files, full disks and folders that cannot be used: all are told, and stop nothing else."""

import csv
import errno
import shutil
from pathlib import Path

import pytest
from folder_parts import MASK, PIXELS, run
from PIL import Image

import maskmend
from maskmend.batch.folder import FAILURES, plan_folder
from maskmend.batch.manifest import NAME as SETTINGS
from maskmend.errors import ConfigError, DataError, OutputError
from maskmend.images.picture import load_image
from maskmend.masks.options import MaskOptions
from maskmend.storage.files import write_files


def test_folders_that_were_swapped_are_told_for_each_picture(tiny_pipeline, tmp_path):
    """Catches a folder of masks filled by the brightness of photographs."""
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    for number in ("00385", "00777"):
        path = Path(maskmend.__file__).parent / "assets" / "samples" / f"{number}.mask.png"
        name = path.name.replace(".mask", "")
        shutil.copy(path, tmp_path / "photos" / name)
        shutil.copy(path.with_name(name), tmp_path / "masks" / name)
    outcome = run(tiny_pipeline, [tmp_path / name for name in ("photos", "masks", "out")])
    assert len(outcome.notes) == 2
    assert all("looks like a photograph" in note for note in outcome.notes.values())
    strict = MaskOptions(photo_check="refuse")
    again = run(tiny_pipeline, [tmp_path / name for name in ("photos", "masks", "other")], reading=strict)
    assert again.filled == 0
    assert all("looks like a photograph" in reason for reason in again.failures.values())


@pytest.mark.parametrize("error", [TypeError("odd EXIF"), ZeroDivisionError(), KeyError("tag")])
def test_whatever_goes_wrong_at_one_file_stops_nothing(tiny_pipeline, folders, monkeypatch, error):
    """Catches a damaged file on which a library raises what nobody thought of, and the summary is lost."""

    def load(path, **options):
        if path.name == "c.webp":
            raise error
        return load_image(path, **options)

    monkeypatch.setattr("maskmend.fill.preparation.load_image", load)
    outcome = run(tiny_pipeline, folders)
    assert (outcome.filled, list(outcome.failures)) == (4, ["c.webp"])
    assert outcome.failures["c.webp"] == (str(error) or type(error).__name__)
    assert listed(folders[2]) == ["c.webp"]


def test_a_file_is_no_output_folder(folders):
    with pytest.raises(ConfigError, match="is a file"):
        plan_folder(folders[0], folders[1], folders[0] / "a.png")


def test_bad_files_are_listed_and_stop_nothing(tiny_pipeline, folders):
    photos, masks, out = folders
    (photos / "a.png").write_bytes((photos / "a.png").read_bytes()[:-200])
    (masks / "c.png").write_bytes(b"no mask")
    (masks / "d.png").unlink()
    Image.fromarray(PIXELS).save(photos / "e, with a comma.png")
    Image.fromarray(MASK[:5]).convert("L").save(masks / "e, with a comma.png")
    Image.fromarray(MASK).convert("L").save(masks / "e.tif")
    outcome = run(tiny_pipeline, folders)
    assert outcome.filled == 1
    words = {
        "a.png": "truncated",
        "c.webp": "mask",
        "d.tif": "no mask",
        "e.bmp": "2 masks",
        "e, with a comma.png": "34 x 5",
    }
    assert set(outcome.failures) == set(words)
    for name, word in words.items():
        assert word in outcome.failures[name]
    with (out / FAILURES).open(newline="") as file:
        assert list(csv.reader(file)) == [["file", "reason"], *map(list, outcome.failures.items())]
    # Mended and run again: only what was missing, and no list of old troubles.
    Image.fromarray(PIXELS).save(photos / "a.png")
    Image.fromarray(MASK).convert("L").save(masks / "c.png")
    Image.fromarray(MASK).convert("L").save(masks / "d.png")
    (masks / "e.tif").unlink()
    (photos / "e, with a comma.png").unlink()
    outcome = run(tiny_pipeline, folders)
    assert (outcome.filled, outcome.skipped, outcome.failures) == (4, 1, {})
    assert not (out / FAILURES).exists()


def listed(out):
    with (out / FAILURES).open(newline="") as file:
        return [name for name, _ in list(csv.reader(file))[1:]]


def test_a_result_that_cannot_be_written_is_listed_and_stops_nothing(tiny_pipeline, folders):
    """Catches a run that ends, without its list, at the first name that cannot be used."""
    photos, masks, out = folders
    (out / "a-2.png").mkdir(parents=True)
    (out / "deep").write_bytes(b"a file where a folder should be")
    long = "a" * 251 + ".png"  # with its sample's number longer than a name can be
    Image.fromarray(PIXELS).save(photos / long)
    Image.fromarray(MASK).convert("L").save(masks / long)
    outcome = run(tiny_pipeline, folders, samples=2)
    assert outcome.filled == 3
    assert sorted(outcome.failures) == sorted(listed(out)) == ["a.png", long, "deep/b.jpg"]
    assert "folder" in outcome.failures["a.png"]
    assert "too long" in outcome.failures[long]
    assert not (out / "a-1.png").exists()  # all samples of a picture or none
    assert list(out.rglob(".*")) == []  # no temporary files


def test_a_run_that_is_stopped_leaves_its_list(tiny_pipeline, folders, monkeypatch):
    """Catches failures that nobody hears of because of a Ctrl-C, or because the disk was full later on."""
    photos, _, out = folders
    (photos / "a.png").write_bytes(b"no picture")

    def stop(stage, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_pipeline, folders, progress=stop)
    assert listed(out) == ["a.png"]
    (out / FAILURES).unlink()

    def full(files):
        if out / FAILURES not in files and out / SETTINGS not in files:
            raise OutputError("cannot write") from OSError(errno.ENOSPC, "No space left on device")
        write_files(files)

    monkeypatch.setattr("maskmend.batch.folder.write_files", full)
    with pytest.raises(OutputError):
        run(tiny_pipeline, folders, overwrite=True)
    assert listed(out) == ["a.png"]


def test_two_pictures_never_share_a_result(tiny_pipeline, folders):
    """Catches a.jpg written over a.png when both become PNG."""
    Image.fromarray(PIXELS).save(folders[0] / "a.jpg")
    outcome = run(tiny_pipeline, folders, suffix=".png")
    assert outcome.filled == 5
    assert list(outcome.failures) == ["a.png"]


def test_folders_within_folders_are_not_read_as_pictures(tiny_pipeline, folders):
    """Catches a second run that fills the masks and the first run's results."""
    photos, masks, _ = folders
    masks.rename(photos / "masks")
    within = (photos, photos / "masks", photos / "out")
    assert run(tiny_pipeline, within).filled == 5
    assert run(tiny_pipeline, within).skipped == 5


def test_a_folder_of_masks_may_hold_the_images(tiny_pipeline, folders):
    """Catches "no images" where masks lie in the folder above, and images taken for masks."""
    photos, masks, out = folders
    photos.rename(masks / "photos")
    assert run(tiny_pipeline, (masks / "photos", masks, out)).filled == 5


@pytest.mark.parametrize(
    ("images", "masks", "out", "error", "word"),
    [
        ("none", "masks", "out", DataError, "no folder"),
        ("photos", "none", "out", DataError, "no folder"),
        ("empty", "masks", "out", DataError, "no images"),
        ("photos", "masks", "photos", ConfigError, "--output"),
        ("photos", "masks", "masks", ConfigError, "--output"),
        ("photos", "masks", "", ConfigError, "holds the folder .*photos.* choose another"),
        ("photos/deep", "masks", "photos", ConfigError, "holds the folder .*deep.* choose another"),
    ],
)
def test_folders_that_cannot_be_used(folders, tmp_path, images, masks, out, error, word):
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=word):
        plan_folder(tmp_path / images, tmp_path / masks, tmp_path / out)
