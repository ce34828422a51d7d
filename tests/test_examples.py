"""The examples run as they stand, with a tiny model or the shipped one, and do what they say."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
from PIL import Image

from exported import exported
from fakes import box_mask, smooth_pixels
from server_parts import app_of, on_a_socket

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
PIXELS, MASK = smooth_pixels(16, 16), box_mask(16, 16, 3, 5, 11, 14)
execute = runpy.run_path(str(ROOT / "tools" / "notebooks.py"))["execute"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with photo.png and mask.png."""
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def assert_filled(path: Path) -> None:
    """The known pixels are the photo's, the others are not."""
    pixels = np.asarray(Image.open(path))
    np.testing.assert_array_equal(pixels[~MASK], PIXELS[~MASK])
    assert (pixels[MASK] != PIXELS[MASK]).any()


def test_one_picture(files, tiny_model, monkeypatch):
    run(monkeypatch, "fill_one_picture.py", "photo.png", "mask.png", "out.png", "--model", tiny_model)
    assert_filled(files / "out.png")


def test_a_folder(files, tiny_model, monkeypatch, capsys):
    """Catches pictures whose mask is missing that stop the others."""
    for folder in ("photos", "masks"):
        (files / folder).mkdir()
    for number in range(3):
        Image.fromarray(PIXELS).save(files / "photos" / f"{number}.png")
        if number < 2:
            Image.fromarray(MASK).save(files / "masks" / f"{number}.png")
    run(monkeypatch, "fill_folder.py", "photos", "masks", "out", "--batch", 1, "--model", tiny_model)
    assert sorted(path.name for path in (files / "out").iterdir()) == ["0.png", "1.png"]
    assert_filled(files / "out" / "1.png")
    assert "2.png: no" in capsys.readouterr().out


def test_several_fills(files, tiny_model, monkeypatch, capsys):
    run(monkeypatch, "several_fills.py", "photo.png", "mask.png", "out", "--model", tiny_model)
    fills = sorted((files / "out").iterdir())
    assert [path.name for path in fills] == [f"seed-{seed}.png" for seed in range(4)]
    for path in fills:
        assert_filled(path)
    told = capsys.readouterr().out.splitlines()
    likelihoods = [float(re.findall(r"(-?\d+\.\d+) nats", line)[0]) for line in told]
    assert "best" in told[np.argsort(likelihoods)[1]]


def test_uncertainty(files, tiny_model, monkeypatch):
    run(monkeypatch, "uncertainty_map.py", "photo.png", "mask.png", "sure.png", "--model", tiny_model)
    grey = np.asarray(Image.open(files / "sure.png"))
    assert grey.shape == MASK.shape
    assert grey.max() == 255
    assert (grey[~MASK] == 0).all()


def test_client(files, tiny_pipeline, monkeypatch):
    """Catches a client that no longer speaks the server's API."""
    with on_a_socket(app_of(tiny_pipeline)) as port:
        address = f"http://127.0.0.1:{port}"
        run(monkeypatch, "server_client.py", "photo.png", "mask.png", "out.png", "--server", address)
        (files / "mask.png").write_bytes(b"no picture")
        with pytest.raises(SystemExit, match=r"the server refused: .*mask"):
            run(monkeypatch, "server_client.py", "photo.png", "mask.png", "no.png", "--server", address)
    assert_filled(files / "out.png")
    assert not (files / "no.png").exists()


def test_without_pytorch(files):
    """Catches an import of PyTorch on the way to a fill: run in a process of its own."""
    _, folder = exported("prefix")
    command = [sys.executable, EXAMPLES / "without_pytorch.py", folder, "photo.png", "mask.png", "out.png"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "PyTorch loaded: False" in done.stdout
    assert_filled(files / "out.png")


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request) -> tuple[str, dict[str, Any]]:
    """A notebook's name and what its cells have defined when all are run."""
    content = json.loads(request.param.read_text(encoding="utf-8"))
    before, path = jaxtyping.config.jaxtyping_disable, os.environ.get("PYTHONPATH")
    jaxtyping.config.update("jaxtyping_disable", True)
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    try:
        return request.param.stem, execute(content, request.param.name)
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
        if path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = path


@pytest.mark.slow
def test_notebooks_run_and_their_models_learn(notebook):
    """Catches a notebook that no longer runs, and one that runs and teaches nothing.

    That its decoding is the package's is asserted in "MaskGIT from scratch" itself.
    """
    name, defined = notebook
    if name == "maskgit-from-scratch":
        grey = defined["test_images"][:4, :, defined["mask"]].abs().mean().item()
        assert defined["reconstruction_error"] < 0.2
        assert defined["fill_error"] < grey / 2
    else:
        own, shipped = defined["error"](defined["result"].images[0]), defined["error"](defined["hole"])
        assert own < shipped
        assert (defined["WORK"] / "my-model" / "README.md").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_show_their_outputs(path):
    """Catches a notebook that was stored without being run: readers on the web see what is in the file."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell["outputs"])
