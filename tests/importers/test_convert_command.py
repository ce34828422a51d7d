"""From files in the published layouts to a filled picture, by the command line; and what is refused."""

import io
import json
import pickle
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

import restated_class_token
import restated_halton
import restated_mage
import restated_vqgan
from experiments.reproduce.conftest import mean_distance, small_features
from fakes import box_mask, smooth_pixels
from maskmend.cli import main
from maskmend.perceptual.inception import Inception
from maskmend.perceptual.lpips import Lpips
from maskmend.pipeline import InpaintPipeline
from server_parts import app_of, client_of, form

SIDE = 64
GRID = 4
"""All tokenizers here have 16 pixels a token."""


def run(*command):
    return CliRunner().invoke(main, [str(part) for part in command], prog_name="maskmend")


def mage_file(folder: Path, **changes) -> Path:
    state = restated_mage.random_checkpoint(64, grid=GRID) | changes
    return restated_mage.save(state, folder / "mage-vitb-1600.pth")


def mage(folder: Path) -> list[object]:
    mage_file(folder)
    return ["mage", folder, "--heads", 4]


def halton(folder: Path) -> list[object]:
    state = restated_halton.random_checkpoint(96, 4, grid=GRID)
    restated_halton.save(state, restated_halton.random_tokenizer(), folder)
    return ["halton", folder, "--heads", 4]


def maskgit(folder: Path) -> list[object]:
    state = restated_class_token.google_checkpoint(64, 4, grid=GRID)
    words = restated_vqgan.random_state(restated_class_token.GOOGLE_TOKENIZER)
    restated_class_token.save_flax(state, folder / "maskgit_imagenet256_checkpoint")
    flat = restated_class_token.google_tokenizer(words)
    restated_class_token.save_flax(flat, folder / "tokenizer_imagenet256_checkpoint")
    return ["maskgit", folder]


def valeoai(folder: Path) -> list[object]:
    state = restated_class_token.valeoai_checkpoint(64, grid=GRID)
    restated_class_token.save_valeoai(state, restated_class_token.taming_tokenizer(), folder)
    return ["valeoai", folder]


KINDS = {"mage": mage, "halton": halton, "maskgit": maskgit, "valeoai": valeoai}
LABELS = {
    "mage": [], "halton": ["7", "auto"], "maskgit": ["tabby", "3/4"], "valeoai": ["goldfish", "auto"],
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def converted(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    kind, *rest = KINDS[request.param](folder)
    result = run("convert", kind, *rest, "-o", folder / "model")
    assert result.exit_code == 0, result.output
    assert f"{SIDE}x{SIDE} pictures, {GRID}x{GRID} tokens" in result.output
    pixels = smooth_pixels(SIDE, SIDE)
    Image.fromarray(pixels).save(folder / "photo.png")
    mask = box_mask(SIDE, SIDE, 20, 40, 24, 50)
    Image.fromarray(mask).save(folder / "mask.png")
    return request.param, folder, pixels, mask


def fill(folder: Path, *options):
    line = ["inpaint", folder / "photo.png", "--mask", folder / "mask.png", "--model", folder / "model"]
    return run(*line, "--steps", 2, "-o", folder / "out.png", "--overwrite", *options)


def test_a_converted_checkpoint_fills_a_hole_and_nothing_else(converted):
    """A kind whose folder does not load, or whose mask token is a code, would fail here."""
    kind, folder, pixels, mask = converted
    for label in LABELS[kind] or [None]:
        result = fill(folder, *([] if label is None else ["--label", label]))
        assert result.exit_code == 0, result.output
        filled = np.asarray(Image.open(folder / "out.png"))
        assert np.array_equal(filled[~mask], pixels[~mask])
        assert (filled[mask] != pixels[mask]).mean() > 0.5


def test_labels_are_for_models_that_have_them(converted):
    """A label that is dropped in silence would pass for one that was heeded."""
    kind, folder, _, _ = converted
    refused(fill(folder, "--prompt", "a boat"), "prompt = 'a boat': this model takes no prompts")
    if kind == "mage":
        for options, told in (
            (["--label", "7"], "label = '7': this model has no classes"),
            (["--label", "auto"], "label = 'auto': this model has no classes"),
            (["--set", "guidance=2"], "guidance = 2.0: this model was not trained for it"),
        ):
            refused(fill(folder, *options), told)
    elif kind == "maskgit":
        refused(fill(folder, "--set", "guidance=2"), "was not trained for it")
        refused(fill(folder, "--label", "gold fish"), "is no class of this model (did you mean 'goldfish'?)")
        refused(fill(folder, "--label", "1000"), "give a class from 0 to 999")
        refused(fill(folder, "--label", "crane"), "matches several classes", "give the number")
    else:
        refused(fill(folder, "--set", "guidance=2"), "no effect without a label: give one, or guidance = 1")


def test_guidance_moves_the_fill(converted):
    """Two passes whose difference is thrown away would give the same picture."""
    kind, folder, _, mask = converted
    if kind in ("mage", "maskgit"):
        return
    fills = []
    for guidance in (1, 6):
        result = fill(folder, "--label", "7", "--set", f"guidance={guidance}")
        assert result.exit_code == 0, result.output
        fills.append(np.asarray(Image.open(folder / "out.png")))
    assert (fills[0][mask] != fills[1][mask]).any()


def test_a_server_fills_with_it(converted):
    """Catches a model whose condition the server does not know, so that only the command line fills."""
    kind, folder, pixels, mask = converted
    pipe = InpaintPipeline.from_pretrained(folder / "model")
    files = {name: (folder / f"{name}.png").read_bytes() for name in ("photo", "mask")}
    with client_of(app_of(pipe)) as client:
        sent = {"steps": "2"} | ({"label": "3"} if kind == "maskgit" else {})
        answer = client.post("/v1/inpaint", files=form(files["photo"], files["mask"]), data=sent)
    assert answer.status_code == 200, answer.text
    filled = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert np.array_equal(filled[~mask], pixels[~mask])
    assert (filled[mask] != pixels[mask]).any()


def test_it_is_evaluated_and_not_exported(converted, monkeypatch):
    """Catches a report that takes our own transformers alone, and an export that ends deep inside."""
    kind, folder, pixels, _ = converted
    monkeypatch.setenv("MASKMEND_CACHE", str(folder / "cache"))
    monkeypatch.setattr(Inception, "load", lambda **_: SimpleNamespace(features=small_features))
    monkeypatch.setattr(Lpips, "load", lambda net: MeanDistance())
    for number, name in enumerate(("images", "masks")):
        (folder / name).mkdir()
        for count in (1, 2):
            levels = (pixels // count, box_mask(SIDE, SIDE, 20, 40, 24, 50))[number]
            Image.fromarray(levels).save(folder / name / f"{count}.png")
    command = ["evaluate", "--images", folder / "images", "--masks", folder / "masks"]
    command += ["--set", "steps=1", "--repeats", 2, *(["--set", "label=3"] if kind == "maskgit" else [])]
    result = run(*command, "--model", folder / "model", "-o", folder / "scores")
    assert result.exit_code == 0, result.output
    assert json.loads((folder / "scores" / "report-composited.json").read_text())["images"] == 2
    told = "exporting to ONNX takes maskmend's own transformers only"
    refused(run("export", "onnx", folder / "model", "-o", folder / "onnx"), told)
    assert not (folder / "onnx").exists()


class MeanDistance(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return mean_distance(a, b)


def test_the_card_tells_licence_and_data(converted):
    kind, folder, _, _ = converted
    card = (folder / "model" / "README.md").read_text()
    assert ("Apache-2.0" if kind == "maskgit" else "MIT") in card
    assert "ImageNet" in card
    assert "research" in card
    # The names of classes are WordNet's, whose notice has to be on each copy.
    named = "labels" in (folder / "model" / "model_index.json").read_text()
    assert named == (kind in ("maskgit", "valeoai"))
    assert ("WordNet 3.0 Copyright 2006 by Princeton University" in card) == named
    assert ("MAKES NO REPRESENTATIONS OR WARRANTIES" in card) == named


def refused(result, *told):
    """One line that names the value and the remedy, with status 2."""
    assert result.exit_code == 2, result.output
    assert result.stderr.strip().count("\n") == 0, result.stderr
    for words in told:
        assert words in " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """Files that are nearly one of MAGE."""
    folder = tmp_path_factory.mktemp("bad")
    good = restated_mage.random_checkpoint(64, grid=GRID)
    files = {}

    def add(name, state):
        files[name] = restated_mage.save(state, folder / f"{name}.pth")

    add("unknown", good | {"blocks.0.attn.gate.weight": torch.zeros(3)})
    add("missing", {key: value for key, value in good.items() if key != "decoder_norm.bias"})
    add("shape", good | {"mlm_layer.ln.weight": torch.zeros(65)})
    add("whole", good | {"norm.weight": torch.ones(64, dtype=torch.int64)})
    add("words", good | {"vqgan.decoder.conv_in.bias": torch.zeros(1)})
    add("nan", good | {"norm.weight": torch.full((64,), float("nan"))})
    network, _ = restated_halton.save(
        restated_halton.random_checkpoint(96, 4), restated_halton.random_tokenizer(), folder
    )
    files["other"] = network
    files["cut"] = folder / "cut.pth"
    content = files["shape"].read_bytes()
    files["cut"].write_bytes(content[: len(content) // 2])
    files["text"] = folder / "text.pth"
    files["text"].write_text("<html>not found</html>")
    return files


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unknown", ["an unknown blocks.0.attn.gate.weight", "give the published file"]),
        ("missing", ["no decoder_norm.bias", "give the published file"]),
        ("shape", ["mlm_layer.ln.weight of shape (65,), expected (64,)"]),
        ("whole", ["norm.weight in int64, expected float32"]),
        ("words", ["vqgan.decoder.conv_in.bias of shape (1,), expected (32,)"]),
        ("nan", ["norm.weight is not finite", "give another copy"]),
        ("other", ["has no token_emb.word_embeddings.weight", "model_state_dict"]),
        ("cut", ["cut.pth is not loaded: it is damaged", "give a MAGE checkpoint"]),
        ("text", ["text.pth is not loaded: it is damaged"]),
        ("nowhere", ["no file or folder", "nowhere.pth"]),
    ],
)
def test_a_file_that_is_not_one_is_told_and_nothing_is_written(bad, tmp_path, name, told):
    """A traceback, or half a model, would be left."""
    path = bad.get(name, tmp_path / f"{name}.pth")
    refused(run("convert", "mage", path, "--heads", 4, "-o", tmp_path / "model"), *told)
    assert list(tmp_path.iterdir()) == []


class Hostile:
    def __reduce__(self):
        return (Path("executed").write_text, ("by unpickling",))


class Shell:
    def __reduce__(self):
        return (subprocess.call, (["touch", "executed"],))


@pytest.mark.parametrize("inside", [Hostile(), Shell()], ids=["file", "shell"])
def test_a_pickle_that_would_run_something_is_refused(tmp_path, monkeypatch, inside):
    """pickle.load runs what the file says; a checkpoint from the web may say anything."""
    monkeypatch.chdir(tmp_path)
    path = mage_file(tmp_path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    entries[name] = pickle.dumps({"model": inside}, protocol=2)
    hostile = tmp_path / "hostile.pth"
    with zipfile.ZipFile(hostile, "w") as archive:
        for key, content in entries.items():
            archive.writestr(key, content)
    for file, content in ((hostile, None), (tmp_path / "bare.pth", pickle.dumps({"a": inside}, protocol=2))):
        if content is not None:
            file.write_bytes(content)
        refused(run("convert", "mage", file, "-o", tmp_path / "model"), "is not loaded: it asks for")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "model").exists()


def test_models_that_cannot_be_converted_are_refused_by_name(tmp_path):
    refused(
        run("convert", "put", tmp_path, "-o", tmp_path / "model"), "put cannot be converted: its tokenizer"
    )
    result = run("convert", "nothing", tmp_path, "-o", tmp_path / "model")
    assert result.exit_code == 2
    assert "nothing" in result.stderr


def test_what_is_there_is_not_written_over(tmp_path):
    """A folder of one's own, named by mistake, must stay as it is."""
    path = mage_file(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "letter.txt").write_text("dear")
    refused(run("convert", "mage", path, "--heads", 4, "-o", tmp_path / "own"), "is there and not empty")
    assert [p.name for p in (tmp_path / "own").iterdir()] == ["letter.txt"]


def test_half_precision_and_safetensors(tmp_path):
    """Weights in safetensors, as hubs have them, are read; float16 halves the model, which loads."""
    state = restated_mage.random_checkpoint(64, grid=GRID)
    path = tmp_path / "mage.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    for option in ("--half", "--full"):
        result = run("convert", "mage", path, "--heads", 4, option, "-o", tmp_path / option)
        assert result.exit_code == 0, result.output
    half, full = (
        (tmp_path / option / "transformer" / "weights.safetensors").stat().st_size
        for option in ("--half", "--full")
    )
    assert 0.45 < half / full < 0.55
    network = InpaintPipeline.from_pretrained(tmp_path / "--half").transformer
    assert network.dtype == torch.float32
    torch.testing.assert_close(
        network.class_embedding, state["token_emb.word_embeddings.weight"][1100], atol=1e-3, rtol=1e-3
    )


def test_the_coursework_goes_by_both_names():
    """`convert lab` is in people's scripts."""
    commands = main.commands["convert"].commands
    assert commands["lab"].callback is commands["coursework"].callback
