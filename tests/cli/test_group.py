"""The command line: bad input is one line, status 2 and no file; good input is a file and a word about it."""

import copy
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import load_file

import maskmend
from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.assets import DEFAULT
from maskmend.cli import main
from maskmend.images.picture import load_image
from maskmend.perceptual import weights
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.component import save_tokenizer, save_transformer
from maskmend.pretrained.folder import write_domain
from maskmend.pretrained.hashes import tokens_hash
from maskmend.settings import Settings
from maskmend.storage import files as writing

HEIGHT, WIDTH = 20, 34
PIXELS = smooth_pixels(HEIGHT, WIDTH)
MASK = box_mask(HEIGHT, WIDTH, 5, 6, 14, 19)


def invoke(command):
    """The command under the name it is installed as."""
    return CliRunner().invoke(main, command, prog_name="maskmend")


def save_mask(mask, path):
    Image.fromarray(mask).convert("L").save(path)
    return str(path)


def bomb(width, height):
    """A PNG that claims to be huge and holds next to nothing."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of good and bad input."""
    folder = tmp_path_factory.mktemp("input")
    photo = Image.fromarray(PIXELS)
    photo.save(folder / "photo.png")
    photo.save(folder / "photo.jpg", quality=95)
    Image.fromarray(np.dstack([PIXELS, np.full((HEIGHT, WIDTH), 200, np.uint8)])).save(folder / "alpha.png")
    (folder / "truncated.png").write_bytes((folder / "photo.png").read_bytes()[:-300])
    (folder / "truncated.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:-200])
    (folder / "noise.png").write_bytes(b"this is no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "bomb.png").write_bytes(bomb(30_000, 30_000))
    (folder / "large.png").write_bytes(bomb(10_000, 9_000))
    turning = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "green", "blue")]
    turning[0].save(folder / "animated.gif", save_all=True, append_images=turning[1:])
    Image.new("I;16", (WIDTH, HEIGHT)).save(folder / "deep.png")
    Image.new("CMYK", (WIDTH, HEIGHT)).save(folder / "print.tif")
    save_mask(MASK, folder / "mask.png")
    save_mask(~MASK, folder / "inverse.png")
    save_mask(np.zeros_like(MASK), folder / "nothing.png")
    save_mask(np.ones_like(MASK), folder / "all.png")
    save_mask(np.kron(MASK, np.ones((2, 2), bool)), folder / "twice.png")
    erased = np.dstack([PIXELS, np.where(MASK, 0, 255).astype(np.uint8)])
    Image.fromarray(erased).save(folder / "erased.png")
    return folder


@pytest.fixture
def inpaint(files, tiny_model, tmp_path):
    """inpaint("photo.png", "--steps", "2", ...): runs the command on a file of the input folder."""

    def run(image="photo.png", *options, mask="mask.png", output="out.png", model=tiny_model):
        out = [] if output is None else ["-o", str(tmp_path / output)]
        command = ["inpaint", str(files / image), "--mask", str(files / mask), *out, "--model", str(model)]
        return invoke([*command, *options])

    return run


def assert_refused(result, *words):
    """Status 2, one line on standard error that says all `words`, nothing on standard output."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("maskmend: ")
    for word in words:
        assert word in lines[0]
    assert result.stdout == ""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# What is refused


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("missing.png", ["missing.png", "is missing", "give the path"]),
        (".", ["is a folder"]),
        ("noise.png", ["noise.png", "cannot be read", "give an intact"]),
        ("empty.png", ["empty.png", "cannot be read"]),
        ("truncated.png", ["truncated.png", "truncated or damaged", "intact copy"]),
        ("truncated.jpg", ["truncated.jpg", "truncated or damaged", "intact copy"]),
        ("bomb.png", ["bomb.png", "too large to decode safely", "scale it down"]),
        ("large.png", ["large.png", "10000 x 9000 = 90.0 Mpx", "scale it down"]),
        ("animated.gif", ["animated.gif", "several frames", "extract one"]),
        ("deep.png", ["deep.png", "16 bits", "convert it to 8 bits"]),
        ("print.tif", ["print.tif", "CMYK", "convert it"]),
    ],
)
def test_an_image_that_cannot_be_used_is_refused(inpaint, tmp_path, image, words):
    """Catches tracebacks, several lines, status 1, and half-written output, for images and masks alike."""
    assert_refused(inpaint(image), *words)
    assert names(tmp_path) == []
    if image not in ("deep.png", "print.tif"):
        assert_refused(inpaint(mask=image), "mask", *words)
        assert names(tmp_path) == []


def test_a_picture_above_the_limit_is_taken_when_that_is_raised(inpaint, tmp_path, monkeypatch):
    """Catches a limit that speaks of Python to those who type, that cannot be raised, or not for the mask,
    and the imaging library's own, which stands at twice 89 megapixels."""
    few = str(WIDTH * HEIGHT / 1e6)
    below = str((WIDTH * HEIGHT - 1) / 1e6)
    assert_refused(inpaint("large.png"), "more than the limit of 64 Mpx", "--max-megapixels")
    assert_refused(inpaint("bomb.png"), "--max-megapixels")
    assert_refused(inpaint("photo.png", "--max-megapixels", below), "more than the limit")
    assert_refused(inpaint("photo.png", "--max-megapixels", "0"), "--max-megapixels")
    assert inpaint("photo.png", "--max-megapixels", few, "--steps", "1").exit_code == 0
    assert_refused(
        inpaint("photo.png", "--max-megapixels", few, mask="twice.png"), "mask", "more than the limit"
    )
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert inpaint("photo.png", "--max-megapixels", few, "--steps", "1").exit_code == 0
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_mask_of_another_size_offers_to_fit_it_and_does(inpaint, tmp_path):
    assert_refused(inpaint(mask="twice.png"), "mask is 68 x 40", "image 34 x 20", "--fit-mask")
    assert names(tmp_path) == []
    result = inpaint("photo.png", "--fit-mask", mask="twice.png")
    assert result.exit_code == 0, result.output
    filled = load_image(tmp_path / "out.png").pixels
    np.testing.assert_array_equal(filled[~MASK], PIXELS[~MASK])
    assert (filled[MASK] != PIXELS[MASK]).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "0"], ["steps = 0", "give 1 or more"]),
        (["--seed", "-1"], ["seed -1", "out of range"]),
        (["--schedule", "cosin"], ["schedule = 'cosin'", "did you mean 'cosine'"]),
        (["--seam", "poison"], ["seam = 'poison'", "did you mean 'poisson'"]),
        (["--temperature", "-2"], ["temperature = -2"]),
        (["--set", "topp=0.9"], ["unknown setting 'topp'", "did you mean 'top_p'"]),
        (["--set", "steps=eight"], ["steps = 'eight'", "give a whole number"]),
        (["--set", "steps.more=1"], ["steps", "give a whole number"]),
        (["--set", "seed=3"], ["unknown setting 'seed'"]),
        (["--set", "callback=3"], ["unknown setting 'callback'"]),
        (["--set", "top_p"], ["top_p", "key=value"]),
        (["--device", "abacus"], ["device 'abacus'", "choose cpu"]),
        (["--samples", "0"], ["--samples", "0", "maskmend inpaint --help"]),
        (["--quality", "0"], ["--quality", "maskmend inpaint --help"]),
        (["--stpes", "3"], ["--stpes", "--steps", "maskmend inpaint --help"]),
    ],
    ids=" ".join,
)
def test_impossible_options_are_refused(inpaint, tmp_path, options, words):
    assert_refused(inpaint("photo.png", *options), *words)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "options", [["--steps", "0"], ["--set", "topp=0.9"], ["--set", "steps"]], ids=" ".join
)
def test_wrong_settings_are_refused_before_the_model_loads(inpaint, monkeypatch, options):
    """Catches a misspelt setting that is told only after half a minute on a slow machine."""
    monkeypatch.setattr(InpaintPipeline, "from_pretrained", lambda *_, **__: pytest.fail("loaded first"))
    assert_refused(inpaint("photo.png", *options), *options[-1].split("=")[:1])


@pytest.mark.parametrize(
    ("image", "output", "words"),
    [
        ("photo.png", "nowhere/out.png", ["nowhere", "create it first"]),
        ("photo.png", "out.psd", ["'.psd' is not supported", ".png"]),
        ("alpha.png", "out.jpg", ["JPEG holds no alpha", "save as .png"]),
    ],
)
def test_an_output_that_cannot_be_written_is_found_before_the_work(
    inpaint, tmp_path, monkeypatch, image, output, words
):
    """Catches a fill of minutes that is thrown away because of the name of its file."""
    monkeypatch.setattr(InpaintPipeline, "from_pretrained", lambda name: pytest.fail("worked first"))
    for options in ([], ["--samples", "3"]):
        assert_refused(inpaint(image, *options, output=output), "cannot write", *words)
    if image == "photo.png":
        assert_refused(inpaint(image, "--uncertainty", str(tmp_path / output)), "cannot write", *words)
    assert names(tmp_path) == []


def test_a_folder_as_output_takes_the_name_of_the_image(inpaint, files, tmp_path):
    """Catches a result of no name, one in a format that is not written, and one that replaces the image."""
    Image.open(files / "photo.png").save(files / "still.bmp")
    for image, name in (("photo.png", "photo.png"), ("still.bmp", "still.png")):
        assert inpaint(image, "--steps", "1", output=".").exit_code == 0
        assert (tmp_path / name).is_file()
    assert_refused(inpaint("photo.png", output=str(files)), "is the image's own folder")
    assert_refused(inpaint("photo.png", "--uncertainty", str(tmp_path)), "is a folder")


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


def test_an_output_never_replaces_the_mask(inpaint, files):
    before = (files / "mask.png").read_bytes()
    assert_refused(inpaint("photo.png", output=str(files / "mask.png")), "is the mask")
    assert_refused(inpaint("photo.png", "--uncertainty", str(files / "mask.png")), "is the mask")
    assert (files / "mask.png").read_bytes() == before


def test_an_output_replaces_the_image_only_when_told_to(files, tiny_model, tmp_path):
    """Catches an original that is lost without a word, also by way of a link."""
    photo = tmp_path / "photo.png"
    photo.write_bytes((files / "photo.png").read_bytes())
    (tmp_path / "link.png").symlink_to(photo)
    before = photo.read_bytes()
    line = [
        "inpaint",
        str(photo),
        "--mask",
        str(files / "mask.png"),
        "--model",
        str(tiny_model),
        "--steps",
        "1",
    ]
    for output in ("photo.png", "link.png"):
        refused = CliRunner().invoke(main, [*line, "-o", str(tmp_path / output)], prog_name="maskmend")
        assert_refused(refused, "is the image itself", "--overwrite")
        assert photo.read_bytes() == before
    done = CliRunner().invoke(main, [*line, "-o", str(photo), "--overwrite"], prog_name="maskmend")
    assert done.exit_code == 0
    assert photo.read_bytes() != before


def test_image_and_mask_swapped_are_told(tiny_model, tmp_path):
    """Catches a mask painted over by the bright parts of a photograph."""
    photo = str(Path(maskmend.__file__).parent / "assets" / "samples" / "00385.png")
    command = [
        "inpaint",
        photo.replace(".png", ".mask.png"),
        "--mask",
        photo,
        "-o",
        str(tmp_path / "out.png"),
    ]
    told = "looks like a photograph"
    refused = invoke([*command, "--mask-photo-check", "refuse"])
    assert_refused(refused, photo, told, "swapped", "--mask-photo-check off")
    assert names(tmp_path) == []
    fill = [*command, "--model", str(tiny_model), "--steps", "1"]
    warned = invoke([*fill, "--mask-threshold", "0.5"])
    assert warned.exit_code == 0, warned.output
    assert warned.stderr.count(told) == 1
    meant = invoke([*fill, "--mask-photo-check", "off"])
    assert meant.exit_code == 0, meant.output
    assert told not in meant.stderr


def test_a_mask_read_by_its_alpha_is_told(inpaint, files):
    """Catches a painted layer that is read as an eraser's without a word."""
    grey = Image.open(files / "mask.png").convert("L")
    Image.merge("LA", (grey, grey)).save(files / "layer.png")
    assert "--mask-channel luma" in inpaint("photo.png", "--steps", "1", mask="layer.png").stdout
    assert "--mask-channel" not in inpaint("photo.png", "--steps", "1").stdout


def test_too_little_memory_is_one_line(inpaint, monkeypatch):
    """Catches a traceback of PyTorch's for --samples 1000000."""
    for error in (
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 102400000000 bytes"),
    ):

        def fill(self, *given, error=error, **options):
            raise error

        monkeypatch.setattr(InpaintPipeline, "__call__", fill)
        assert_refused(inpaint("photo.png"), "not enough memory", "fewer samples")


def test_a_folder_without_permission_is_found_before_the_work(inpaint, tmp_path, monkeypatch):
    monkeypatch.setattr(InpaintPipeline, "from_pretrained", lambda name: pytest.fail("worked first"))
    monkeypatch.setattr(os, "access", lambda path, mode, **options: not mode & os.W_OK)
    assert_refused(inpaint(), "cannot write", str(tmp_path), "not writable", "choose another")


def test_the_uncertainty_may_not_take_the_place_of_a_fill(inpaint, tmp_path):
    out = str(tmp_path / "out-2.png")
    for spelt in (out, os.path.relpath(out), str(tmp_path / ".." / tmp_path.name / "out-2.png")):
        refused = inpaint("photo.png", "--samples", "2", "--uncertainty", spelt)
        assert_refused(refused, "out-2.png", "another name")
    assert names(tmp_path) == []


def test_a_mistake_before_the_command_is_one_line():
    """Catches click's own three lines of usage."""
    assert_refused(invoke(["--bogus"]), "No such option", "--bogus", "maskmend --help")
    assert_refused(invoke(["inpant"]), "No such command", "inpant")


def broken_model(kind, folder, tiny_model):
    """A model folder with one thing wrong with it."""
    shutil.copytree(tiny_model, folder)
    index = folder / "model_index.json"
    content = json.loads(index.read_text())
    if kind == "newer":
        index.write_text(json.dumps(content | {"format": 99}))
    if kind == "other kind":
        index.write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    if kind == "no index":
        index.unlink()
    if kind == "no weights":
        (folder / "transformer" / "weights.safetensors").unlink()
    if kind == "half the weights":
        path = folder / "transformer" / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:500])
    if kind == "other parts":
        save_transformer(tiny_models(codes=30)[1], folder / "transformer")
    if kind == "bad default":
        index.write_text(json.dumps(content | {"defaults": {"steps": 0}}))
    return folder


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("newer", ["format 99", "upgrade maskmend"]),
        ("other kind", ["is this a maskmend model folder?"]),
        ("no index", ["no model_index.json", "is this a maskmend model folder?"]),
        ("no weights", ["no weights.safetensors", "incomplete"]),
        ("half the weights", ["cannot read", "copy the model folder again"]),
        ("other parts", ["24 codes", "30", "take both from the same model"]),
        ("bad default", ["steps = 0"]),
    ],
)
def test_a_model_folder_of_another_kind_is_refused(inpaint, tmp_path, tiny_model, kind, words):
    folder = broken_model(kind, tmp_path / "model", tiny_model)
    assert_refused(inpaint(model=folder), *words)
    assert names(tmp_path) == ["model"]


def test_a_part_of_a_model_and_a_missing_model_are_refused(inpaint, tmp_path, tiny_model):
    assert_refused(inpaint(model=tiny_model / "tokenizer"), "no model_index.json")
    assert_refused(inpaint(model="cats63"), "no model 'cats63'", "default")
    assert_refused(inpaint(model=tmp_path / "nowhere"), "no model", "nowhere")
    assert names(tmp_path) == []


def test_messages_of_several_lines_become_one(inpaint, monkeypatch):
    """Catches a library's message that breaks the one line."""

    def fail(*args, **options):
        raise maskmend.ModelError("first\n  second\nthird")

    monkeypatch.setattr(InpaintPipeline, "from_pretrained", fail)
    assert_refused(inpaint(), "maskmend: first second third")


def test_a_write_that_fails_leaves_nothing_and_keeps_what_was_there(inpaint, tmp_path, monkeypatch):
    """Catches output written in place, and some of several files left when the disk is full."""
    for name in ("out.png", "new-1.png"):
        (tmp_path / name).write_bytes(b"mine")
    sync, calls = os.fsync, []

    def full_disk(descriptor):
        calls.append(descriptor)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(writing.os, "fsync", full_disk)
    assert_refused(inpaint("photo.png", "--samples", "3", output="new.png"), "No space left")
    assert_refused(inpaint(), "No space left")
    assert names(tmp_path) == ["new-1.png", "out.png"]
    assert all((tmp_path / name).read_bytes() == b"mine" for name in names(tmp_path))


# What is done


def test_a_hole_is_filled(inpaint, tmp_path, tiny_pipeline):
    """Catches an output that is not what the same call in Python gives, and files left beside it."""
    result = inpaint("photo.png", "--seed", "4", "--steps", "3", "--seam", "hard")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "out.png") in result.stdout
    assert re.search(r"filled 17\.2 % of .*photo\.png in \d", result.stdout)
    assert result.stderr == ""
    wanted = tiny_pipeline(PIXELS, MASK, seed=4, steps=3, seam="hard")
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, wanted.pictures[0].pixels)
    assert names(tmp_path) == ["out.png"]


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--set", "top_p=0.5", "--set", "choice=argmax"], {"top_p": 0.5, "choice": "argmax"}),
        (["--set", "temperature=2"], {"temperature": 2}),
        (["--ring", "1", "--infill", "mean"], {"ring": 1, "infill": "mean"}),
        (["--order", "halton"], {"order": "halton"}),
        (["--schedule", "linear", "--temperature", "0.5"], {"schedule": "linear", "temperature": 0.5}),
    ],
    ids=str,
)  # fmt: skip
def test_settings_reach_the_fill(inpaint, tmp_path, tiny_pipeline, options, settings):
    """Catches an option that is read and forgotten."""
    assert inpaint("photo.png", *options).exit_code == 0
    wanted = tiny_pipeline(PIXELS, MASK, **settings)
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, wanted.pictures[0].pixels)


def test_samples_are_numbered_and_the_best_is_named(inpaint, tmp_path, tiny_pipeline):
    result = inpaint("photo.png", "--samples", "3", output="out.webp")
    assert result.exit_code == 0, result.output
    assert names(tmp_path) == ["out-1.webp", "out-2.webp", "out-3.webp", "out.webp"]
    wanted = tiny_pipeline(PIXELS, MASK, samples=3)
    for number, picture in enumerate(wanted.pictures, start=1):
        saved = load_image(tmp_path / f"out-{number}.webp").pixels
        np.testing.assert_array_equal(saved, picture.pixels)
    assert f"best: {tmp_path / f'out-{wanted.best + 1}.webp'}, also" in result.stdout
    best = load_image(tmp_path / "out.webp").pixels
    np.testing.assert_array_equal(best, wanted.pictures[wanted.best].pixels)


def test_many_samples_have_names_that_sort_and_are_not_all_told(inpaint, tmp_path):
    """Catches out-10 before out-2, and a line of a thousand names."""
    result = inpaint("photo.png", "--samples", "11", "--steps", "1")
    assert names(tmp_path) == ["out-01.png", *(f"out-{n:02d}.png" for n in range(2, 12)), "out.png"]
    told = f"{tmp_path / 'out-01.png'}, {tmp_path / 'out-02.png'} ... {tmp_path / 'out-11.png'}"
    assert told in result.stdout
    assert "out-03" not in result.stdout


@pytest.mark.parametrize("ranking", ["likelihood", "typical"])
def test_many_samples_are_made_a_few_at_a_time(inpaint, tmp_path, tiny_pipeline, monkeypatch, ranking):
    """Catches memory that grows with --samples, fills that differ from those of one call, the best of the
    last few only, and results that a stop loses."""
    sizes, fill = [], InpaintPipeline.__call__

    def counted(self, *given, samples, **options):
        assert len(list(tmp_path.glob("out-*.png"))) == sum(sizes)  # those before are written
        sizes.append(samples)
        if stop_at == len(sizes):
            raise KeyboardInterrupt
        return fill(self, *given, samples=samples, **options)

    monkeypatch.setattr(InpaintPipeline, "__call__", counted)
    monkeypatch.setattr("maskmend.batch.samples.MOST", 3)
    for stop_at in (3, 0):
        sizes.clear()
        line = ["--samples", "8", "--seed", "5", "--steps", "2", "--set", f"ranking={ranking}"]
        result = inpaint("photo.png", *line, "--uncertainty", str(tmp_path / "map.png"))
        done = 6 if stop_at else 8
        wanted = fill(tiny_pipeline, PIXELS, MASK, samples=done, seed=5, steps=2, ranking=ranking)
        made = [f"out-{n}.png" for n in range(1, done + 1)]
        assert names(tmp_path) == ["map.png", *made, "out.png"]
        for name, picture in zip(
            [*made, "out.png"], [*wanted.pictures, wanted.pictures[wanted.best]], strict=True
        ):
            np.testing.assert_array_equal(load_image(tmp_path / name).pixels, picture.pixels)
        if stop_at:
            assert (result.exit_code, sizes) == (130, [3, 3, 2])
            assert "best of the 6 that are written" in result.stderr
            for name in names(tmp_path):
                (tmp_path / name).unlink()
    assert (result.exit_code, sizes) == (0, [3, 3, 2])
    assert f"best: {tmp_path / f'out-{wanted.best + 1}.png'}" in result.stdout


def test_a_thousand_samples_are_asked_about(inpaint, tmp_path, monkeypatch):
    """Catches hours of work for a number that slipped."""
    assert_refused(inpaint("photo.png", "--samples", "65"), "--samples 65", "--yes")
    monkeypatch.setattr("maskmend.cli.inpaint.SENSIBLE", 2)
    assert_refused(inpaint("photo.png", "--samples", "3"), "--yes")
    assert names(tmp_path) == []
    assert inpaint("photo.png", "--samples", "2", "--steps", "1").exit_code == 0
    assert inpaint("photo.png", "--samples", "3", "--steps", "1", "--yes").exit_code == 0
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    for answer, status in (("n", 2), ("y", 0)):
        monkeypatch.setattr("click.confirm", lambda *_, answer=answer, **__: answer == "y")
        assert inpaint("photo.png", "--samples", "3", "--steps", "1").exit_code == status


@pytest.mark.parametrize(
    ("mask", "options"),
    [
        ("inverse.png", ["--invert-mask"]),
        ("erased.png", []),
        ("erased.png", ["--mask-channel", "alpha"]),
    ],
)
def test_every_polarity_of_a_mask_means_the_same_hole(inpaint, tmp_path, tiny_pipeline, mask, options):
    assert inpaint("photo.png", *options, mask=mask).exit_code == 0
    wanted = tiny_pipeline(PIXELS, MASK)
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, wanted.pictures[0].pixels)


def test_an_empty_mask_returns_the_image_and_says_so(inpaint, tmp_path):
    result = inpaint(mask="nothing.png")
    assert result.exit_code == 0
    assert "the mask is empty" in result.stdout
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").pixels, PIXELS)


def test_a_full_mask_is_filled(inpaint, tmp_path):
    result = inpaint(mask="all.png")
    assert result.exit_code == 0, result.output
    assert "filled 100.0 %" in result.stdout
    assert "the mask leaves nothing of the picture to go by" in result.stderr
    assert load_image(tmp_path / "out.png").pixels.shape == PIXELS.shape


def test_a_picture_unlike_what_the_model_learnt_is_told_in_one_line(inpaint, tiny_model, tmp_path):
    """Catches a fill that has nothing to do with the picture, without a word; and a word about every fill."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    for distance, words in (
        (
            1e-6,
            "this picture is unlike what the model learnt (cat faces): expect the fill to look like them\n",
        ),
        (1e6, ""),
    ):
        write_domain(model, {"learnt": "cat faces", "distance": distance})
        result = inpaint(model=model)
        assert (result.exit_code, result.stderr) == (0, words)
        assert result.stdout.startswith("filled ")


def test_the_uncertainty_is_a_picture_of_the_same_size(inpaint, tmp_path):
    result = inpaint("photo.png", "--uncertainty", str(tmp_path / "map.png"))
    assert result.exit_code == 0, result.output
    shown = load_image(tmp_path / "map.png").pixels
    assert shown.shape == PIXELS.shape
    np.testing.assert_allclose(shown[~MASK].astype(float), 150 + 0.35 * PIXELS[~MASK], atol=1)


def test_jpeg_output_says_that_known_pixels_change(inpaint, tmp_path):
    result = inpaint("photo.jpg", "--quality", "80", output="out.jpg")
    assert result.exit_code == 0
    assert "write .png" in result.stdout
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.format == "JPEG"


def test_alpha_comes_back(inpaint, tmp_path):
    assert inpaint("alpha.png").exit_code == 0
    np.testing.assert_array_equal(load_image(tmp_path / "out.png").alpha, np.where(MASK, 255, 200))


# The other commands


def test_pack_makes_a_model_of_two_parts(inpaint, tmp_path):
    """Catches a packed model that lost its default settings or its precision, or overwrites another."""
    tokenizer, transformer = tiny_models()
    save_tokenizer(tokenizer, tmp_path / "run1" / "tokenizer")
    save_transformer(transformer, tmp_path / "run2" / "transformer")
    command = ["pack", str(tmp_path / "run1"), str(tmp_path / "run2"), "-o", str(tmp_path / "model")]
    assert_refused(invoke([*command, "--set", "stpes=3"]), "stpes", "did you mean 'steps'")
    result = invoke([*command, "--set", "steps=3", "--full"])
    assert result.exit_code == 0, result.output
    assert f"--model {tmp_path / 'model'}" in result.stdout
    assert InpaintPipeline.from_pretrained(tmp_path / "model").defaults == Settings(steps=3)
    assert_refused(invoke(command), "already holds a model")
    assert inpaint(model=tmp_path / "model").exit_code == 0


def test_pack_refuses_parts_that_never_met(tmp_path):
    """Catches a model of grey smears: a transformer joined with a tokenizer whose tokens it never saw. A
    decoder trained anew over the same encoder and codebook is no other tokenizer."""
    own, transformer = tiny_models()
    redrawn, other = (copy.deepcopy(own) for _ in range(2))
    redrawn.decoder.conv_out.weight.data += 1
    other.quantizer.codebook += 1
    for name, tokenizer in (("own", own), ("redrawn", redrawn), ("other", other)):
        save_tokenizer(tokenizer, tmp_path / name / "tokenizer")
    save_transformer(transformer, tmp_path / "run" / "transformer", tokens=tokens_hash(own))
    for name in ("own", "redrawn", "other"):
        result = invoke(
            ["pack", str(tmp_path / name), str(tmp_path / "run"), "-o", str(tmp_path / f"m-{name}")]
        )
        if name == "other":
            words = ["tokens of another tokenizer", str(tmp_path / "other"), str(tmp_path / "run")]
            assert_refused(result, *words)
        else:
            assert result.exit_code == 0, result.output
    again = ["pack", str(tmp_path / "other"), str(tmp_path / "m-own"), "-o", str(tmp_path / "m-again")]
    assert_refused(invoke(again), "tokens of another tokenizer")


def test_an_unknown_option_of_a_recipe_names_the_nearest(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[data]\ntrain = "a"\nvalidation = "b"\n[training]\nsteps = 3\nwarmpu = 2\n')
    command = ["train", "tokenizer", "--config", str(recipe), "--output", str(tmp_path / "run")]
    words = ["unknown setting 'training.warmpu'", "did you mean 'warmup'"]
    assert_refused(invoke(command), *words)
    missing = [*command[:3], str(tmp_path / "no.toml")]
    assert_refused(invoke(missing), "no recipe", "no.toml")
    recipe.write_text("[data\n")
    assert_refused(invoke(command), "cannot read recipe")
    assert names(tmp_path) == ["recipe.toml"]


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


def test_unknown_weights_are_refused():
    assert_refused(invoke(["weights", "fetch", "lpips"]), "weights = 'lpips'", "did you mean 'lpips-vgg16'")


def test_weights_come_from_a_file_without_a_network(tmp_path, monkeypatch):
    """Catches --from that downloads all the same, or that takes one file for all names."""
    content = pickle.dumps({"NetLinLayer_0": {"Conv_0": {"kernel": np.ones((1, 1, 2, 1), np.float32)}}})
    own, cache = tmp_path / "vgg16.ckpt", tmp_path / "cache"
    own.write_bytes(content)
    monkeypatch.setenv("MASKMEND_CACHE", str(cache))
    monkeypatch.setattr(weights, "_download", lambda *given: pytest.fail("downloaded"))
    command = ["weights", "fetch", "lpips-vgg16", "--from", str(own)]
    assert_refused(invoke(command), "not the published weights")
    source = weights.SOURCES["lpips-vgg16"]
    published = replace(source, member_sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(weights.SOURCES, "lpips-vgg16", published)
    for few_or_many in (["weights", "fetch"], ["weights", "fetch", "inception", "lpips-vgg16"]):
        assert_refused(invoke([*few_or_many, "--from", str(own)]), "--from", "give the one it holds")
    assert not cache.exists()
    result = invoke(command)
    assert result.exit_code == 0, result.output
    stored = cache / "weights" / "lpips-vgg16.safetensors"
    assert f"lpips-vgg16: {stored}" in result.stdout
    assert load_file(stored)["heads.0"].tolist() == [1, 1]


# The surface


def flags(command):
    return {option for parameter in command.params for option in parameter.opts}


def test_the_flags_are_frozen():
    """Catches a flag that is renamed or dropped without a thought for those who use it."""
    assert set(main.commands) == {
        "inpaint",
        "serve",
        "demo",
        "train",
        "data",
        "pack",
        "calibrate",
        "weights",
        "masks",
        "evaluate",
        "reproduce",
        "study",
        "photographs",
        "convert",
        "bench",
        "export",
        "doctor",
        "completion",
    }
    assert flags(main.commands["inpaint"]) == {
        "image", "--mask", "-o", "--output", "--layout", "--model", "--samples", "--seed", "--steps",
        "--schedule", "--order", "--temperature", "--seam", "--infill", "--ring", "--label", "--prompt",
        "--set", "--fit-mask",
        "--invert-mask", "--mask-channel", "--mask-threshold", "--mask-photo-check", "--quality", "--device",
        "--uncertainty",
        "--input", "--masks", "--format", "--overwrite", "--grow", "--precision", "--yes",
        "--max-megapixels", "--guide", "--extend", "--convert",
        "--mask-box", "--mask-color", "--tolerance", "--context-box", "--watch", "--show",
        "--engine", "--shard", "--seed-by", "--write-as", "--chunk", "--workers", "--retry-failed",
        "--metrics",
    }  # fmt: skip
    assert flags(main.commands["serve"]) == {
        "--host", "--port", "--allow-remote", "--allow-origin", "--name", "--token", "--model", "--device",
        "--workers", "--max-upload", "--max-megapixels", "--max-samples", "--places", "--batch", "--timeout",
        "--drain", "--upload-pace", "--upload-silence", "--engine", "--replicas", "--replica-cpus",
    }  # fmt: skip
    assert flags(main.commands["doctor"]) == {"--model", "--no-speed", "--json"}
    assert flags(main.commands["completion"]) == {"shell"}
    assert flags(main.commands["demo"]) == {"-o", "--output", "--model", "--photo-model", "--seed"}
    assert flags(main.commands["train"]) == {
        "stage", "--config", "-o", "--output", "--set", "--restart", "--on", "--from", "--minutes",
        "--learnt", "--device", "--plan", "--devices", "--tflops",
    }  # fmt: skip
    assert flags(main.commands["data"].commands["index"]) == {"shards", "-o", "--output"}
    assert flags(main.commands["data"].commands["tokenize"]) == {
        "source", "--tokenizer", "-o", "--output", "--crops", "--side", "--crop-scale", "--seed",
        "--shard-size", "--batch", "--device",
    }  # fmt: skip
    assert flags(main.commands["pack"]) == {
        "tokenizer", "transformer", "-o", "--output", "--half", "--set", "--data", "--card",
    }  # fmt: skip
    for kind in ("mage", "halton", "valeoai"):
        assert flags(main.commands["convert"].commands[kind]) == {
            "sources", "-o", "--output", "--revision", "--half", "--heads"
        }  # fmt: skip
    assert flags(main.commands["convert"].commands["maskgit"]) == {
        "sources", "-o", "--output", "--revision", "--half",
    }  # fmt: skip
    assert flags(main.commands["convert"].commands["coursework"]) == {
        "vqgan", "transformer", "-o", "--output", "--heads", "--pixels", "--half",
    }  # fmt: skip


def test_the_flags_of_evaluation_are_frozen():
    assert flags(main.commands["weights"].commands["fetch"]) == {"names", "--from"}
    assert flags(main.commands["masks"].commands["make"]) == {"kind", "--like", "-o", "--output", "--seed"}
    assert flags(main.commands["evaluate"]) == {
        "--images", "--results", "--model", "--masks", "-o", "--output", "--seed", "--repeats", "--device",
        "--preset", "--precision", "--set", "--samples", "--also", "--invert-masks",
    }  # fmt: skip
    assert flags(main.commands["calibrate"]) == {"model", "--images", "--learnt"}
    assert flags(main.commands["bench"]) == {
        "--model", "--photo-model", "-o", "--output", "--peers", "--quick",
    }  # fmt: skip
    assert flags(main.commands["export"].commands["onnx"]) == {"model", "-o", "--output"}
    site = {"model", "-o", "--output", "--weights", "--runtime", "--webgpu"}
    assert flags(main.commands["export"].commands["web"]) == site
    assert flags(main.commands["reproduce"]) == {
        "--images", "--masks", "-o", "--output", "--model", "--quick", "--limit", "--sweep-limit", "--grid",
        "--table", "--migan", "--repeats", "--seed", "--device",
    }  # fmt: skip
    assert flags(main.commands["photographs"]) == {
        "--model", "--images", "--whole", "--migan", "--limit", "--kinds", "-o", "--output", "--work",
        "--credits", "--repeats", "--seed", "--device", "--precision", "--set",
    }  # fmt: skip
    assert flags(main.commands["study"]) == {
        "--train", "--validation", "--images", "--masks", "--tokenizer", "-o", "--output", "--steps",
        "--limit", "--repeats", "--seed",
    }  # fmt: skip


def walk(command):
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from walk(inner)


def test_every_command_and_option_is_explained():
    for command in walk(main):
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in (
                "seed",
                "device",
                "mask_channel",
            ):
                assert parameter.help, (command.name, parameter.name)


# In a process of its own


ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(maskmend.__file__).parents[1]),
    "OMP_NUM_THREADS": "1",
}


def run(*command, **options):
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=ENVIRONMENT, timeout=1200, **options
    )


@pytest.mark.parametrize("command", [[], ["masks"], ["convert"], ["export"], ["weights"]], ids=str)
def test_the_help_of_a_group_cuts_no_line(command):
    """Catches what a command does, told as far as it fits into one line."""
    told = invoke([*command, "--help"]).stdout.partition("Commands:")[2]
    group = main
    for name in command:
        group = group.commands[name]
    lines = " ".join(told.split())
    for name, sub in group.commands.items():
        if sub.hidden:  # an older name
            assert f"{name} " not in lines
            continue
        assert f"{name} {' '.join(sub.get_short_help_str(limit=1000).split())}" in lines
    assert "... " not in lines.replace("SSIM, ... ", "")


def test_the_help_of_inpaint_tells_the_models_settings():
    """Catches defaults of the program where the shipped model has others, and settings that nobody finds."""
    told = " ".join(invoke(["inpaint", "--help"]).stdout.split())
    defaults = InpaintPipeline.from_pretrained("default").defaults
    options, _, others = told.partition("Settings for --set")
    for name, value in asdict(defaults).items():
        if f"--{name} " in options:
            assert f"[default: the model's; {DEFAULT}: {value}]" in options
        else:
            assert f"{name}={'none' if value is None else value}" in others


MODULES_OF_HELP = 220
"""Above the 164 that there are; Rich alone would bring 107 more."""


@pytest.mark.parametrize("command", [["--help"], ["inpaint", "--help"], ["train", "-h"], ["--version"]])
def test_help_answers_without_torch(command):
    """Catches an import that makes `--help` take long: modules are counted, for 0.3 s are promised."""
    program = (
        "import sys\nfrom maskmend.cli import main\n"
        f"main({command!r}, prog_name='maskmend', standalone_mode=False)\n"
        "assert not {'torch', 'numpy', 'scipy', 'PIL'} & set(sys.modules), sorted(sys.modules)\n"
        "print(len(sys.modules), file=sys.stderr)"
    )
    finished = run("-c", program)
    assert finished.returncode == 0, finished.stderr
    assert "maskmend" in finished.stdout
    assert int(finished.stderr) < MODULES_OF_HELP


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
