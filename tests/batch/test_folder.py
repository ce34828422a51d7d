"""A folder of pictures: names matched, bad ones passed over and listed, what is done left alone."""

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageCms

import maskmend
from fakes import box_mask, smooth_pixels
from maskmend.batch.folder import FAILURES, fill_folder, plan_folder
from maskmend.batch.manifest import LIKELIEST, NOTES, OLDER
from maskmend.batch.manifest import NAME as SETTINGS
from maskmend.cli import main
from maskmend.errors import ConfigError, DataError, OutputError
from maskmend.images.picture import load_image
from maskmend.masks.options import MaskOptions
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.folder import write_domain
from maskmend.storage.files import write_files
from maskmend.storage.temporary import beside

HEIGHT, WIDTH = 20, 34
PIXELS = smooth_pixels(HEIGHT, WIDTH)
MASK = box_mask(HEIGHT, WIDTH, 5, 6, 14, 19)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GOOD = ("a.png", "deep/b.jpg", "c.webp", "d.tif", "e.bmp")


@pytest.fixture
def folders(tmp_path):
    """Photos of every format with masks of other suffixes."""
    photos, masks, out = (tmp_path / name for name in ("photos", "masks", "out"))
    (photos / "deep").mkdir(parents=True)
    (masks / "deep").mkdir(parents=True)
    options = {"a.png": {"icc_profile": ICC}, "deep/b.jpg": {"quality": 95, "icc_profile": ICC}}
    for name in GOOD:
        Image.fromarray(PIXELS).save(photos / name, **options.get(name, {}))
        suffix = ".png" if name != "a.png" else ".bmp"
        Image.fromarray(MASK.astype(np.uint8) * 255).save((masks / name).with_suffix(suffix))
    return photos, masks, out


def names(folder):
    """All files of `folder` but the one that says how they were made."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SETTINGS)
    return sorted(path.relative_to(folder).as_posix() for path in files)


def run(pipe, folders, **options):
    photos, masks, out = folders
    planning = {name: options.pop(name) for name in ("samples", "suffix") if name in options}
    samples = {"samples": planning["samples"]} if "samples" in planning else {}
    return fill_folder(pipe, plan_folder(photos, masks, out, **planning), out, steps=2, **samples, **options)


def test_every_picture_keeps_its_name_format_and_profile(tiny_pipeline, folders):
    """Catches results that are flattened, renamed, or filled with another picture's mask."""
    outcome = run(tiny_pipeline, folders, seed=3)
    assert (outcome.filled, outcome.skipped, outcome.failures) == (5, 0, {})
    out = folders[2]
    assert names(out) == ["a.png", "c.webp", "d.tif", "deep/b.jpg", "e.png"]
    wanted = tiny_pipeline(PIXELS, MASK, seed=3, steps=2).pictures[0].pixels
    for name in ("a.png", "d.tif", "e.png"):
        np.testing.assert_array_equal(load_image(out / name).pixels, wanted)
    assert load_image(out / "a.png").icc == load_image(out / "deep" / "b.jpg").icc == ICC


def test_another_format_and_several_samples(tiny_pipeline, folders):
    outcome = run(tiny_pipeline, folders, suffix=".png", samples=2)
    assert outcome.filled == 5
    assert names(folders[2])[:2] == ["a-1.png", "a-2.png"]
    assert len(names(folders[2])) == 10
    assert {name.rsplit(".")[-1] for name in names(folders[2])} == {"png"}


def test_many_samples_sort_by_their_numbers(folders):
    """Catches 10 before 2, where the command for one picture pads its numbers."""
    photos, masks, out = folders
    (task,) = [task for task in plan_folder(photos, masks, out, samples=10) if task.name == "a.png"]
    assert [path.name for path in task.outputs] == [f"a-{n:02d}.png" for n in range(1, 11)]


def test_many_samples_are_made_a_few_at_a_time(tiny_pipeline, folders, monkeypatch):
    """Catches memory that grows with the samples, and a best one of the last few only."""
    whole = run(tiny_pipeline, folders, samples=5, seed=3)
    made = {path: path.read_bytes() for path in folders[2].rglob("*") if path.is_file()}
    sizes, fill = [], InpaintPipeline.__call__

    def counted(self, *given, samples, **options):
        sizes.append(samples)
        return fill(self, *given, samples=samples, **options)

    monkeypatch.setattr(InpaintPipeline, "__call__", counted)
    monkeypatch.setattr("maskmend.batch.samples.MOST", 2)
    parted = run(tiny_pipeline, folders, samples=5, seed=3, overwrite=True)
    assert set(sizes) == {2, 1}
    assert parted.likeliest == whole.likeliest
    assert {path: path.read_bytes() for path in folders[2].rglob("*") if path.is_file()} == made


def test_the_likeliest_of_several_is_told_and_noted(tiny_pipeline, folders):
    """Catches four fills of each picture and no word of which to take; and one that a stopped run knew only
    while it ran."""

    def stop(stage, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_pipeline, folders, samples=4, seed=3, progress=stop)
    record = folders[2] / SETTINGS
    assert list(json.loads(record.read_text())[LIKELIEST]) == ["a.png", "c.webp"]
    outcome = run(tiny_pipeline, folders, samples=4, seed=3)
    best = tiny_pipeline(PIXELS, MASK, samples=4, seed=3, steps=2).best + 1
    wanted = {"a.png": f"a-{best}.png", "deep/b.jpg": f"deep/b-{best}.jpg", "e.bmp": f"e-{best}.png"}
    assert wanted.items() <= outcome.likeliest.items()
    assert len(outcome.likeliest) == 5
    assert json.loads(record.read_text())[LIKELIEST] == outcome.likeliest
    assert run(tiny_pipeline, folders, samples=4, seed=3).likeliest == outcome.likeliest


def test_pictures_unlike_what_the_model_learnt_are_noted_and_counted(folders, tiny_model, tmp_path):
    """Catches a folder of fills that have nothing to do with their pictures, without a word; a word that a
    second run forgets; and one about fills that are gone."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    write_domain(model, {"learnt": "cat faces", "distance": 1e-6})
    record = folders[2] / SETTINGS
    wanted = "this picture is unlike what the model learnt (cat faces): expect the fill to look like them"
    for _ in range(2):
        result = command(folders, model)
        assert result.exit_code == 0
        assert result.stderr.splitlines()[-2:] == [
            f"5 pictures: {wanted}",
            f"which ones is noted in {record}",
        ]
        assert json.loads(record.read_text())[NOTES] == dict.fromkeys(GOOD, wanted)
    result = command(folders, tiny_model, "--overwrite")
    assert result.exit_code == 0
    assert "unlike" not in result.stderr
    assert NOTES not in json.loads(record.read_text())


def test_the_likeliest_is_that_of_the_pictures_there(tiny_pipeline, folders):
    """Catches a record that names a fill of settings that are gone, or forgets one that is still there."""
    run(tiny_pipeline, folders, samples=2, seed=0)
    before = run(tiny_pipeline, folders, samples=2, seed=0).likeliest
    (folders[1] / "c.png").write_bytes(b"no mask")
    seed = next(
        seed
        for seed in range(1, 50)
        if f"a-{tiny_pipeline(PIXELS, MASK, samples=2, seed=seed, steps=2).best + 1}.png" != before["a.png"]
    )
    after = run(tiny_pipeline, folders, samples=2, seed=seed, overwrite=True).likeliest
    assert after["a.png"] != before["a.png"]
    assert "c.webp" not in after  # it is of the other seed, and none was made by this run
    record = json.loads((folders[2] / SETTINGS).read_text())
    assert (record[OLDER], record[LIKELIEST]) == (["c.webp"], after | {"c.webp": before["c.webp"]})
    assert run(tiny_pipeline, folders, overwrite=True).likeliest == {}
    assert LIKELIEST not in json.loads((folders[2] / SETTINGS).read_text())


def test_no_likeliest_is_told_that_is_not_there(tiny_pipeline, folders):
    """Catches names of files that went with their image, or whose image can no longer be filled."""
    photos, masks, out = folders
    run(tiny_pipeline, folders, samples=2)
    (photos / "a.png").unlink()
    (masks / "c.png").unlink()
    for path in (*out.glob("a-*"), *out.glob("c-*")):
        path.unlink()
    outcome = run(tiny_pipeline, folders, samples=2)
    assert list(outcome.failures) == ["c.webp"]
    assert list(outcome.likeliest) == ["d.tif", "deep/b.jpg", "e.bmp"]
    assert json.loads((out / SETTINGS).read_text())[LIKELIEST] == outcome.likeliest


def test_a_stopped_run_goes_on_and_a_done_one_does_nothing(tiny_pipeline, folders):
    """Catches work that is done twice, and a run that must be begun anew."""
    told = []

    def stop(stage, done, total):
        told.append((done, total))
        if done == 2 and len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_pipeline, folders, progress=stop)
    before = {name: (folders[2] / name).stat().st_mtime_ns for name in names(folders[2])}
    assert len(before) == 2
    outcome = run(tiny_pipeline, folders, progress=stop)
    assert (outcome.filled, outcome.skipped) == (3, 2)
    assert told[2:] == [(n, 5) for n in (1, 2, 3, 4, 5)]
    assert all((folders[2] / name).stat().st_mtime_ns == then for name, then in before.items())
    assert run(tiny_pipeline, folders).skipped == 5
    assert run(tiny_pipeline, folders, overwrite=True).filled == 5


def test_a_run_removes_what_a_killed_one_was_writing(tiny_pipeline, folders):
    """Catches half results that stay among the whole ones, also where nothing is left to be written."""
    run(tiny_pipeline, folders)
    dead = beside(folders[2] / "a").name.replace(str(os.getpid()), str(2**22 + 1))
    left = [folders[2] / dead, folders[2] / "deep" / dead]
    for path in left:
        path.write_bytes(b"half")
    assert run(tiny_pipeline, folders).skipped == 5
    assert [path for path in left if path.exists()] == []


def test_pictures_made_otherwise_are_not_gone_on_with(tiny_pipeline, folders):
    """Catches a folder in which half of the pictures have another seed, unnoticed."""
    run(tiny_pipeline, folders, seed=1)
    before = (folders[2] / "a.png").read_bytes()
    for options, words in (
        ({"seed": 2}, r"seed = 1 \(now 2\)"),
        ({"seed": 1, "temperature": 0.5}, "temperature"),
    ):
        with pytest.raises(ConfigError, match=f"made with {words}.*--overwrite"):
            run(tiny_pipeline, folders, **options)
    assert (folders[2] / "a.png").read_bytes() == before
    assert run(tiny_pipeline, folders, seed=2, overwrite=True).filled == 5
    assert (folders[2] / "a.png").read_bytes() != before
    assert run(tiny_pipeline, folders, seed=2).skipped == 5
    (folders[2] / SETTINGS).write_text("[")
    with pytest.raises(ConfigError, match="made otherwise"):
        run(tiny_pipeline, folders, seed=2)
    (folders[2] / SETTINGS).unlink()
    assert run(tiny_pipeline, folders, seed=3).skipped == 5
    assert not (folders[2] / SETTINGS).exists()  # nobody knows


def test_making_anew_stopped_halfway_leaves_no_mixture(tiny_pipeline, folders):
    """Catches pictures of the old seed that the next run takes for its own."""
    run(tiny_pipeline, folders, seed=1)

    def stop(stage, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_pipeline, folders, seed=2, overwrite=True, progress=stop)
    outcome = run(tiny_pipeline, folders, seed=2)
    assert (outcome.filled, outcome.skipped) == (3, 2)
    with pytest.raises(ConfigError, match=r"samples = 1 \(now 2\)"):
        run(tiny_pipeline, folders, seed=2, samples=2)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"seed": 2**63 - 1, "samples": 2},
        {"quality": 0},
        {"growth": -1},
        {"temperature": -1.0},
    ],
    ids=str,
)
@pytest.mark.usefixtures("unchecked")
def test_impossible_options_cost_no_result(tiny_pipeline, folders, wrong):
    """Catches --overwrite with a mistyped number that removes a folder of results and then refuses."""
    run(tiny_pipeline, folders)
    before = contents(folders[2])
    with pytest.raises(ConfigError):
        run(tiny_pipeline, folders, overwrite=True, **wrong)
    assert contents(folders[2]) == before


@pytest.mark.parametrize("channel", ["auto", "luma", "alpha"])
def test_every_way_to_read_masks_is_tried_out(tiny_pipeline, folders, channel):
    """Catches a check that refuses what could be read."""
    reading = MaskOptions(channel=channel, threshold=1.0, invert=True, fit=True)
    assert set(run(tiny_pipeline, folders, reading=reading).failures) == set(
        () if channel != "alpha" else ("a.png", "c.webp", "d.tif", "deep/b.jpg", "e.bmp")
    )


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


def test_making_anew_keeps_what_cannot_be_made(tiny_pipeline, folders):
    """Catches the only result of a picture removed when its mask is lost or damaged, and such a result that a
    later run takes for one of its own settings."""
    _, masks, out = folders
    run(tiny_pipeline, folders, seed=1)
    before = {name: (out / name).read_bytes() for name in names(out)}
    mask = (masks / "c.png").read_bytes()
    (masks / "c.png").write_bytes(b"no mask")
    (masks / "d.png").unlink()
    outcome = run(tiny_pipeline, folders, seed=2, overwrite=True)
    assert (outcome.filled, sorted(outcome.failures)) == (3, ["c.webp", "d.tif"])
    for name in ("c.webp", "d.tif"):
        assert (out / name).read_bytes() == before[name]
    assert (out / "a.png").read_bytes() != before["a.png"]
    (masks / "c.png").write_bytes(mask)
    (masks / "d.png").write_bytes(mask)
    outcome = run(tiny_pipeline, folders, seed=2)
    assert (outcome.filled, outcome.skipped) == (2, 3)
    for name in ("c.webp", "d.tif"):
        assert (out / name).read_bytes() != before[name]
    assert run(tiny_pipeline, folders, seed=2).skipped == 5


def test_a_record_that_only_looks_otherwise_is_the_same(tiny_pipeline, folders):
    """Catches a newline of an editor, or a setting that a version had no word for, called another setting; a
    threshold left out is the one that is used."""
    run(tiny_pipeline, folders, reading=MaskOptions(photo_check="off"))
    assert run(tiny_pipeline, folders, reading=MaskOptions()).skipped == 5
    (folders[2] / SETTINGS).unlink()
    run(tiny_pipeline, folders, overwrite=True)
    record = folders[2] / SETTINGS
    record.write_text(record.read_text() + "\n")
    assert run(tiny_pipeline, folders).skipped == 5
    known = json.loads(record.read_text())
    record.write_text(json.dumps({name: value for name, value in known.items() if value is not None}))
    assert run(tiny_pipeline, folders).skipped == 5
    for content in (b"\xff", b"[]", b"{}", b"3"):
        record.write_bytes(content)
        with pytest.raises(ConfigError, match="made otherwise: give --overwrite"):
            run(tiny_pipeline, folders)


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


# The command


def command(folders, model, *more):
    photos, masks, out = map(str, folders)
    line = [
        "inpaint",
        "--input",
        photos,
        "--masks",
        masks,
        "--output",
        out,
        "--model",
        str(model),
        "--steps",
        "2",
    ]
    return CliRunner().invoke(main, [*line, *more], prog_name="maskmend")


def test_the_exit_status_tells(folders, tiny_model):
    done = command(folders, tiny_model)
    assert done.exit_code == 0
    assert "filled 5 of 5 pictures" in done.stdout
    again = command(folders, tiny_model)
    assert "5 done before" in again.stdout
    (folders[0] / "f.png").write_bytes(b"no picture")
    failed = command(folders, tiny_model)
    assert failed.exit_code == 1
    assert "f.png: no mask of that name" in failed.stderr
    assert str(folders[2] / FAILURES) in failed.stderr
    assert command(folders, tiny_model, "--set", "steps=0").exit_code == 2


def test_the_command_tells_the_likeliest(folders, tiny_model):
    told = command(folders, tiny_model, "--samples", "2").stdout.splitlines()
    likeliest = json.loads((folders[2] / SETTINGS).read_text())[LIKELIEST]
    assert [line for line in told if line.startswith("best: ")] == [
        f"best: {folders[2] / path}" for path in likeliest.values()
    ]
    record = json.loads((folders[2] / SETTINGS).read_text())
    for name in ("a.png", "d.tif"):  # as if an earlier version had filled them
        del record[LIKELIEST][name]
    (folders[2] / SETTINGS).write_text(json.dumps(record))
    told = command(folders, tiny_model, "--samples", "2").stdout
    assert told.count("best: ") == 3
    assert "the best fill is not known of 2 done before" in told
    assert "--overwrite makes them again" in told
    told = command(folders, tiny_model, "--samples", "2", "--overwrite").stdout
    assert (told.count("best: "), "not known" in told) == (5, False)
    assert "best" not in command(folders, tiny_model, "--overwrite").stdout


def test_results_that_are_jpeg_are_told_to_be_lossy(folders, tiny_model):
    """Catches known pixels that change in silence, where the command for one picture says so."""
    filled = command(folders, tiny_model, "--format", "jpg").stdout
    assert "of the results are JPEG, which re-encodes every pixel; --format png" in filled
    shutil.rmtree(folders[2])
    assert "JPEG" not in command(folders, tiny_model, "--format", "png").stdout


def test_names_that_are_no_utf8_are_told(folders, tiny_model):
    """Catches a run of hours that ends in a UnicodeEncodeError at its summary. A process of its own: its
    streams are a terminal's."""
    photos, masks, out = folders
    out = out.with_name(os.fsdecode(b"\xfcber"))
    name = b"caf\xe9.png"
    for bad in (name, b"done\xe9.png"):
        os.link(photos / "a.png", photos / os.fsdecode(bad))
    os.link(masks / "a.bmp", masks / os.fsdecode(b"done\xe9.bmp"))
    line = ["inpaint", "--input", photos, "--masks", masks, "-o", out, "--model", tiny_model, "--steps", "2"]
    ran = subprocess.run(
        [sys.executable, "-m", "maskmend", *line], capture_output=True, env=os.environ | {"PYTHONUTF8": "1"}
    )
    assert ran.returncode == 1, ran.stderr
    assert "filled 6 of 7 pictures into" in ran.stdout.decode()
    assert "caf\ufffd.png: no mask" in ran.stderr.decode()
    assert name in (out / FAILURES).read_bytes()


@pytest.mark.parametrize(
    "more", [["photo.png"], ["--mask", "m.png"], ["--uncertainty", "u.png"], ["--layout", "coursework"]]
)
def test_options_of_a_single_image_are_refused(folders, tiny_model, more):
    refused = command(folders, tiny_model, *more)
    assert refused.exit_code == 2
    assert "has no use for" in refused.stderr


def test_masks_without_an_image_are_told(folders, tiny_model):
    """Catches a misspelt name whose mask is passed over without a word."""
    assert "masks without" not in command(folders, tiny_model).stderr
    masks = folders[1]
    for name in ("deep/z.png", *(f"y{number}.png" for number in range(6))):
        shutil.copy(masks / "c.png", masks / name)
    told = command(folders, tiny_model)
    assert told.exit_code == 0
    (line,) = (line for line in told.stderr.splitlines() if "masks without an image" in line)
    assert line.endswith("deep/z.png, y0.png, y1.png, y2.png, y3.png and 2 more")


def test_options_of_a_folder_are_refused_for_a_single_image(tmp_path):
    line = ["inpaint", "a.png", "--mask", "b.png", "-o", str(tmp_path / "c.png")]
    for more in (["--masks", "m"], ["--format", "png"]):
        refused = CliRunner().invoke(main, [*line, *more], prog_name="maskmend")
        assert (refused.exit_code, "has no use for" in refused.stderr) == (2, True)
    for line in (["inpaint", "-o", "x.png"], ["inpaint", "--input", "x", "-o", "y"]):
        assert "Missing" in CliRunner().invoke(main, line, prog_name="maskmend").stderr
