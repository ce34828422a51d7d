"""`maskmend` as a program: a process that fills one small picture loads little, and nobody notices."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy
import torch
from click.testing import CliRunner
from PIL import Image

from maskmend.cli import deferred, main
from maskmend.cli.program import leave

TOLD = """
import gc, os, sys
import maskmend.cli.deferred as deferred, maskmend.cli.program as program

def told(status):
    loaded = [name for name, module in sys.modules.items() if type(module) is not deferred._Deferred]
    print(gc.isenabled(), *loaded, sep="\\n")
    sys.stdout.flush()
    left(status)

left, os._exit = os._exit, told
sys.argv = ["maskmend", *sys.argv[1:]]
program.program()
"""
"""The program, which tells at its end what it loaded."""

NOT_NEEDED = (
    "concurrent.futures.process", "matplotlib", "numpy.f2py", "onnxruntime", "rich",
    "scipy.interpolate", "scipy.ndimage", "scipy.optimize", "scipy.stats", "sympy",
    "torch._dynamo", "torch._inductor", "torch.distributed.tensor", "torch.onnx",
    "maskmend.benchmark", "maskmend.cli.extras", "maskmend.evaluation", "maskmend.experiments",
    "maskmend.export", "maskmend.perceptual", "maskmend.runtime", "maskmend.server", "maskmend.training",
)  # fmt: skip


@pytest.fixture
def command(tiny_model, tmp_path):
    """Arguments of a small fill."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "p.png")
    mask = np.zeros((16, 16), np.uint8)
    mask[4:11, 5:9] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    return [
        "inpaint", str(tmp_path / "p.png"), "--mask", str(tmp_path / "m.png"), "--model", str(tiny_model),
        "-o", str(tmp_path / "out.png"),
    ]  # fmt: skip


def tried(package):
    return ".".join(package.__version__.split(".")[:2]) in deferred.TRIED[package.__name__]


def run(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)


@pytest.mark.slow
def test_a_fill_loads_what_it_needs_and_is_the_same_fill(command, tmp_path):
    """Catches an import that makes every fill from the shell wait, and a fill that differs without it."""
    finished = run("-c", TOLD, *command)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    said, collecting, *loaded = finished.stdout.splitlines()
    assert said.startswith("filled 10.9 %")
    assert collecting == "True"
    assert "torch.nn.functional" in loaded
    wanted: list[str] = [*NOT_NEEDED]
    if tried(torch):
        wanted += deferred.TORCH
    if tried(scipy):
        wanted += [*deferred.SCIPY, "scipy.special"]
    assert [name for name in wanted if name in loaded] == []
    content = (tmp_path / "out.png").read_bytes()
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.png").read_bytes() == content


@pytest.mark.slow
def test_mistakes_keep_their_exit_status_and_their_line(command, tmp_path):
    """Catches an early end that swallows what was to be said, or the status that a script asks for."""
    (tmp_path / "p.png").write_bytes(b"none")
    finished = run("-m", "maskmend", *command)
    assert finished.returncode == 2
    assert finished.stderr.startswith("maskmend: ")
    assert len(finished.stderr.splitlines()) == 1
    finished = run("-m", "maskmend", "inpaint", "--help")
    assert finished.returncode == 0
    assert "Settings for --set" in finished.stdout


@pytest.mark.slow
def test_a_picture_for_a_pipe_arrives_whole(command, tmp_path):
    """Catches buffers that are lost at the early end."""
    command[-1] = "-"
    with subprocess.Popen([sys.executable, "-m", "maskmend", *command], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        content = process.stdout.read()
    assert process.returncode == 0
    (tmp_path / "piped.png").write_bytes(content)
    with Image.open(tmp_path / "piped.png") as image:
        assert image.size == (16, 16)
        image.load()


def test_what_waits_for_the_end_of_the_process_runs():
    """Catches temporary files that stay, and a thread that is cut off."""
    program = "import atexit; from maskmend.cli.program import leave; atexit.register(print, 'cleaned'); "
    finished = run("-c", program + "print('said', end=' '); leave(3)")
    assert (finished.returncode, finished.stdout) == (3, "said cleaned\n")
    thread = "import threading; main = threading.main_thread(); "
    thread += "threading.Thread(target=lambda: (main.join(), print('done'))).start(); "
    finished = run("-c", program + thread + "leave(3)")
    assert (finished.returncode, finished.stdout) == (0, "done\ncleaned\n")


def test_a_full_standard_output_is_told():
    """Catches a result that was never written and an exit status that says it was."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    program = "from maskmend.cli.program import leave; print('said'); leave(0)"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(
            [sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True, env=buffered
        )
    assert finished.returncode == 120
    assert "No space left" in finished.stderr


@pytest.mark.slow
def test_a_deferred_part_is_there_when_it_is_used():
    """Catches a deferred module that stays empty, or one that is loaded twice."""
    program = """
import sys
from maskmend.cli import deferred
deferred.defer_imports()
import torch
kinds = {name: type(sys.modules[name]) for name in deferred.TORCH}
import torch.distributions, torch.optim as optim, torch.testing, torch.utils.data
from torch.utils.data import DataLoader
assert torch.distributions.Normal(0.0, 1.0).sample().shape == ()
assert issubclass(optim.AdamW, torch.optim.Optimizer)
torch.testing.assert_close(torch.ones(2), torch.ones(2))
assert list(DataLoader([1, 2]))[1].item() == 2
assert torch.empty(2, 3, device="meta").T.shape == (3, 2)
assert sys.modules["torch._tensor_docs"].add_docstr  # nothing else holds it
assert "dimensions" in torch.Tensor.dim.__doc__
import numpy.f2py
assert callable(numpy.f2py.run_main)
assert all(type(sys.modules[name]) is type(sys) for name in ("torch.optim", "torch.utils.data", "numpy.f2py"))
print(sum(kind is deferred._Deferred for kind in kinds.values()), len(kinds))
"""
    finished = run("-c", program)
    assert finished.returncode == 0, finished.stderr
    some, of = finished.stdout.split()
    assert some == (of if tried(torch) else "0")


def test_a_name_is_taken_from_where_it_is_defined():
    """Catches a deferred package that hides its names, and a function that differs from the package's."""
    program = """
import sys
from maskmend.cli import deferred
deferred.defer_imports()
from scipy.ndimage import distance_transform_edt
from scipy.sparse.linalg import splu
from scipy import ndimage
some = sum(isinstance(sys.modules.get(name), deferred._Deferred) for name in deferred.SCIPY)
import numpy as np, scipy.linalg, scipy.sparse.linalg
points = np.eye(5) == 0
assert (distance_transform_edt(points) == ndimage.distance_transform_edt(points)).all()
assert ndimage.label(np.eye(3))[1] == 3  # loads the package
assert scipy.sparse.linalg.spsolve(scipy.sparse.eye(3).tocsc(), np.ones(3)).tolist() == [1, 1, 1]
assert scipy.linalg.det(np.eye(2)) == 1
assert scipy.sparse.linalg.splu is splu
print(some)
"""
    finished = run("-W", "error", "-c", program)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == ("3" if tried(scipy) else "0")


def test_of_an_untried_release_nothing_is_deferred(monkeypatch):
    """Catches a new release of PyTorch, in another order of imports, that breaks the program."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(deferred, "TRIED", {"torch": ("0.1",), "scipy": ("0.1",)})
    deferred.defer_imports()
    finder = sys.meta_path[0]
    assert isinstance(finder, deferred._Finder)
    assert finder.names == deferred.OTHERS


def test_it_returns_where_a_thread_still_works():
    """Catches an end of the test run itself."""
    import threading

    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    leave(1)
    go.set()
    thread.join()
