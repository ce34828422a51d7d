"""`maskmend inpaint --input` beyond one folder in one process."""

import subprocess
import sys
import tarfile

import numpy as np
import pytest
from click.testing import CliRunner

from bulk_parts import made, png, results, shard_bytes, write_folder
from fakes import box_mask
from maskmend.cli import main


def command(*words, model):
    settings = ("--model", str(model), "--steps", "2")
    return CliRunner().invoke(main, ["inpaint", *map(str, words), *settings])


@pytest.fixture
def folders(tmp_path):
    return write_folder(tmp_path, made(6))


def test_a_plain_folder_is_filled_as_before(tiny_model, folders, tmp_path):
    """Catches another seed, or a manifest, for the command of former versions."""
    photos, masks = folders
    result = command("--input", photos, "--masks", masks, "-o", tmp_path / "out", model=tiny_model)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "fills.json",
        *(f"p{number:03d}.png" for number in range(6)),
    ]
    single = command(
        photos / "p003.png", "--mask", masks / "p003.png", "-o", tmp_path / "x.png", model=tiny_model
    )
    assert single.exit_code == 0
    assert (tmp_path / "x.png").read_bytes() == (tmp_path / "out" / "p003.png").read_bytes()


@pytest.mark.parametrize("seed_by", ["run", "key"])
def test_one_mask_for_a_folder(tiny_model, tmp_path, seed_by):
    pictures = {key: pair for key, pair in made(6).items() if key in ("p000", "p003")}
    photos, _ = write_folder(tmp_path, pictures)
    stamp = photos / "date-stamp.png"  # among the pictures, and none of them
    stamp.write_bytes(png(box_mask(20, 34, 2, 2, 9, 9).astype(np.uint8) * 255))
    words = ("--input", photos, "--mask", stamp, "-o", tmp_path / "out", "--seed-by", seed_by)
    result = command(*words, model=tiny_model)
    assert result.exit_code == 0, result.output
    assert {name for name in results(tmp_path / "out") if name.endswith(".png")} == {"p000.png", "p003.png"}
    assert (tmp_path / "out" / "_maskmend").is_dir() == (seed_by == "key")


def test_shards_tars_and_failures_on_the_command_line(tiny_model, folders, tmp_path):
    photos, masks = folders
    (photos / "p002.png").write_bytes(b"no picture")
    whole = command(
        "--input", photos, "--masks", masks, "-o", tmp_path / "one", "--seed-by", "key", "--chunk", 2,
        model=tiny_model,
    )  # fmt: skip
    assert whole.exit_code == 1
    assert "filled 5 of 6 pictures" in whole.output
    assert "1 could not be filled:\n  p002: " in whole.output
    assert f"listed in {tmp_path / 'one'}/_maskmend/failures.csv; --retry-failed tries them" in whole.output
    for index in range(3):
        shard = ("--shard", f"{index}/3", "--chunk", 2)
        command("--input", photos, "--masks", masks, "-o", tmp_path / "three", *shard, model=tiny_model)
    assert results(tmp_path / "three") == results(tmp_path / "one")
    (tmp_path / "x.tar").write_bytes(shard_bytes(made(6)))
    tar = command("--input", tmp_path / "x.tar", "-o", tmp_path / "t", "--write-as", "tar", model=tiny_model)
    assert tar.exit_code == 0, tar.output
    assert {name.rsplit(".")[-1] for name in results(tmp_path / "t")} == {"tar"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--shard", "3/3"), "shard 3/3: give I/N"),
        (("--shard", "0/2", "--samples", "2"), "--samples 2: one fill of each picture"),
        (("--shard", "0/2", "--workers", "2"), "--workers 2 is of --engine ray"),
        (("--engine", "ray", "--shard", "0/2"), "--engine ray shares the pictures out by itself"),
    ],
)
def test_what_does_not_go_together_is_one_line(tiny_model, folders, tmp_path, words, told):
    photos, masks = folders
    result = command("--input", photos, "--masks", masks, "-o", tmp_path / "out", *words, model=tiny_model)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"maskmend: {told}")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_one_picture_has_no_use_for_the_options_of_many(tiny_model, folders, tmp_path):
    photos, masks = folders
    image = (photos / "p000.png", "--mask", masks / "p000.png")
    result = command(*image, "-o", tmp_path / "x.png", "--shard", "0/2", model=tiny_model)
    assert "IMAGE does not take --shard: leave it out" in result.stderr
    result = command(*image, "-o", "s3://bucket/x.png", model=tiny_model)
    assert "--output s3://bucket/x.png: one picture is read and written on this machine" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "words", "extra"),
    [
        ("ray", ("--engine", "ray"), ".[ray]"),
        ("pyarrow", ("--write-as", "parquet"), ".[parquet]"),
        ("s3fs", ("-o", "s3://bucket/out"), ".[cloud]"),
    ],
)
def test_the_extra_that_is_missing_is_named(tiny_model, folders, tmp_path, missing, words, extra):
    """Catches a traceback where Ray, pyarrow or a cloud's package is not installed."""
    photos, masks = folders
    output = () if "-o" in words else ("-o", str(tmp_path / "out"))
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom maskmend.cli import main; main(sys.argv[1:])"
    given = ("inpaint", "--input", photos, "--masks", masks, *output, *words, "--model", tiny_model)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, given)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"pip install '{extra}'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_masks_that_belong_to_no_picture_are_named(tiny_model, folders, tmp_path, kind):
    """Catches a misspelt name, of which only the picture without a mask is told."""
    photos, masks = folders
    (masks / "p005.png").rename(masks / "p05.png")
    (masks / "deep").mkdir()
    (masks / "deep" / "other.png").write_bytes((masks / "p000.png").read_bytes())
    if kind == "tar":
        for folder in (photos, masks):
            with tarfile.open(tmp_path / f"{folder.name}.tar", "w") as archive:
                for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                    archive.add(path, path.relative_to(folder).as_posix())
        photos, masks = tmp_path / f"{photos.name}.tar", tmp_path / f"{masks.name}.tar"
    words = ("--input", photos, "--masks", masks, "-o", tmp_path / "out", "--seed-by", "key")
    result = command(*words, model=tiny_model)
    assert "masks without an image of their name" in result.stderr
    assert "p05" in result.stderr
    assert "deep/other" in result.stderr
    assert "p004" not in result.stderr
