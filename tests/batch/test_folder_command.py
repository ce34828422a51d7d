"""Folders from the command line: the exit status, what is told, options that do not go together."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from folder_parts import GOOD

from maskmend.batch.folder import FAILURES
from maskmend.batch.manifest import LIKELIEST, NOTES
from maskmend.batch.manifest import NAME as SETTINGS
from maskmend.cli import main
from maskmend.pretrained.folder import write_domain


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
    assert "does not take" in refused.stderr or "exclude each other" in refused.stderr


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
        assert (refused.exit_code, "does not take" in refused.stderr) == (2, True)
    for line in (["inpaint", "-o", "x.png"], ["inpaint", "--input", "x", "-o", "y"]):
        assert "Missing" in CliRunner().invoke(main, line, prog_name="maskmend").stderr
