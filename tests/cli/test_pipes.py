"""Pictures through pipes: standard input and output, and a process of its own."""

import io
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import ENVIRONMENT, MASK, PIXELS, assert_refused, invoke, names, run

from maskmend.cli import main
from maskmend.images.picture import load_image
from maskmend.pipeline import InpaintPipeline


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_picture_goes_through_a_pipe(files, tiny_model, tmp_path, kind):
    """Catches a word among the picture's bytes, and a fill that is another one than a file's."""
    photo, mask = files / "photo.png", files / "mask.png"
    wanted = tmp_path / f"wanted.{kind}"
    options = ["--model", str(tiny_model), "--steps", "2"]
    invoke(["inpaint", str(photo), "--mask", str(mask), "-o", str(wanted), *options])
    given = [] if kind == "png" else ["--format", kind]
    for line, content in (
        (["-", "--mask", str(mask)], photo.read_bytes()),
        ([str(photo), "--mask", "-"], mask.read_bytes()),
    ):
        command = ["inpaint", *line, "-o", "-", *given, *options]
        piped = CliRunner().invoke(main, command, input=content, prog_name="maskmend")
        assert piped.exit_code == 0, piped.stderr
        assert piped.stdout_bytes == wanted.read_bytes()
        assert "filled 17.2 %" in piped.stderr
        assert ("JPEG re-encodes" in piped.stderr) == (kind == "jpg")


def test_what_a_pipe_cannot_take_is_refused(inpaint, files, tiny_model, tmp_path, monkeypatch):
    """Catches one of several fills written without a word, and a folder of the name -."""
    photo, mask = str(files / "photo.png"), str(files / "mask.png")
    monkeypatch.setattr(InpaintPipeline, "from_pretrained", lambda name: pytest.fail("worked first"))
    for line, words in (
        ([photo, "--mask", mask, "-o", "-", "--samples", "2"], "takes one fill"),
        ([photo, "--mask", mask, "-o", str(tmp_path / "out.png"), "--format", "jpg"], "--format"),
        ([str(files / "alpha.png"), "--mask", mask, "-o", "-", "--format", "jpg"], "JPEG holds no alpha"),
        (["-", "--mask", "-", "-o", "-"], "standard input holds one picture"),
        (["-", "--mask", mask, "-o", "-"], "the image cannot be read"),
        ([photo, "--mask", "-", "-o", "-"], "the mask cannot be used"),
        (["--input", str(files), "--masks", str(files), "-o", "-"], "with --input give a folder"),
    ):
        assert_refused(invoke(["inpaint", *line]), words)
    still = (files / "photo.png").read_bytes()
    command = ["inpaint", "-", "--mask", mask, "-o", str(tmp_path)]
    assert_refused(CliRunner().invoke(main, command, input=still), "is a folder", "give one")
    assert names(tmp_path) == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("streams", "image", "mask", "words"),
    [
        ({"stdout": Terminal()}, "photo.png", "mask.png", ["to the terminal", "redirect it"]),
        ({"stdout": None}, "photo.png", "mask.png", ["standard output is closed", "name a file"]),
        ({"stdout": io.StringIO(), "stdin": None}, "-", "mask.png", ["standard input is closed"]),
        ({"stdout": io.StringIO(), "stdin": None}, "photo.png", "-", ["standard input is closed"]),
    ],
    ids=["terminal", "no output", "no image", "no mask"],
)
def test_streams_that_are_no_pipe_are_refused(files, monkeypatch, streams, image, mask, words):
    """Catches a terminal full of PNG, and a traceback for >&- or <&-."""
    monkeypatch.setattr("maskmend.cli.inpaint_picture.sys", SimpleNamespace(**streams))
    monkeypatch.setattr(InpaintPipeline, "from_pretrained", lambda name: pytest.fail("worked first"))
    given = [name if name == "-" else str(files / name) for name in (image, mask)]
    assert_refused(invoke(["inpaint", given[0], "--mask", given[1], "-o", "-"]), *words)


@pytest.mark.slow
def test_a_real_process_fills_and_refuses(files, tiny_model, tmp_path):
    """Catches warnings, progress or tracebacks on a pipe, and a wrong exit status of the program itself."""
    command = ["-m", "maskmend", "inpaint", str(files / "photo.png"), "--model", str(tiny_model)]
    out = tmp_path / "out.png"
    good = run(*command, "--mask", str(files / "mask.png"), "-o", str(out))
    assert good.returncode == 0
    assert good.stderr == ""
    assert "filled 17.2 %" in good.stdout
    np.testing.assert_array_equal(load_image(out).pixels[~MASK], PIXELS[~MASK])
    assert names(tmp_path) == ["out.png"]
    bad = run(*command, "--mask", str(files / "twice.png"), "-o", str(tmp_path / "second.png"))
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert len(bad.stderr.splitlines()) == 1
    assert "--fit-mask" in bad.stderr
    assert names(tmp_path) == ["out.png"]


@pytest.mark.slow
def test_a_reader_that_goes_away_is_one_line(files, tiny_model):
    """Catches advice to look at the disk, and what the interpreter adds when it flushes at its end."""
    line = ["inpaint", str(files / "photo.png"), "--mask", str(files / "mask.png"), "-o", "-"]
    with subprocess.Popen(
        [sys.executable, "-m", "maskmend", *line, "--model", str(tiny_model)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    ) as process:  # fmt: skip
        process.stdout.close()
        told = process.stderr.read()
    assert process.returncode == 2
    assert told.splitlines() == [
        "maskmend: the program that reads standard output closed it before all of it was written"
    ]
