"""`maskmend masks` and `maskmend evaluate` from the command line."""

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
    for words in ("1 of the pictures cannot be read", "noise.png: image", "once they are mended"):
        assert words in result.stderr


def test_evaluate_wants_one_kind_of_input(files, tmp_path, tiny_model):
    command = ["evaluate", "--images", str(files)]
    assert_refused(invoke(command), "--results", "--model")
    assert_refused(invoke([*command, "--model", "default"]), "--masks")
    both = ["--model", str(tiny_model), "--masks", str(files), "-o", str(tmp_path / "out")]
    assert_refused(invoke([*command, *both, "--set", "seed=1"]), "unknown setting 'seed'")
    assert names(tmp_path) == []
