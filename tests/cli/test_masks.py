"""`maskmend masks` from the command line."""

import shutil

from command_line import assert_refused, invoke, names


def test_masks_are_made_and_counted(files, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(files / "photo.png", tmp_path / "in")
    command = ["masks", "make", "boxes", "--like", str(tmp_path / "in"), "-o", str(tmp_path / "masks")]
    result = invoke(command)
    assert result.exit_code == 0, result.output
    assert "1 masks" in result.stdout
    assert names(tmp_path / "masks") == ["manifest.json", "photo.png"]
    assert_refused(invoke(["masks", "make", "boxs", *command[3:]]), "did you mean 'boxes'")
    shutil.copy(files / "noise.png", tmp_path / "in")
    result = invoke(command)
    assert result.exit_code == 1, result.output
    assert "1 masks" in result.stdout
    for words in ("1 of the pictures cannot be read", "noise.png: image", "once the pictures are repaired"):
        assert words in result.stderr
