"""What `maskmend inpaint` refuses: bad input is one line, status 2 and no file."""

import json
import os
import shutil
from pathlib import Path

import pytest
from command_line import assert_refused, invoke, names

import maskmend
from fakes import tiny_models
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.component import save_transformer
from maskmend.storage import files as writing


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


def test_an_output_never_replaces_the_mask(inpaint, files):
    before = (files / "mask.png").read_bytes()
    assert_refused(inpaint("photo.png", output=str(files / "mask.png")), "is the mask")
    assert_refused(inpaint("photo.png", "--uncertainty", str(files / "mask.png")), "is the mask")
    assert (files / "mask.png").read_bytes() == before


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
