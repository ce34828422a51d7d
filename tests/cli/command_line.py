"""The command line, called in this process or in one of its own, and what its tests give it."""

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner
from PIL import Image

import maskmend
from fakes import box_mask, smooth_pixels
from maskmend.cli import main

HEIGHT, WIDTH = 20, 34
PIXELS = smooth_pixels(HEIGHT, WIDTH)
MASK = box_mask(HEIGHT, WIDTH, 5, 6, 14, 19)


def invoke(command):
    """The command under the name it is installed as."""
    return CliRunner().invoke(main, command, prog_name="maskmend")


def save_mask(mask, path):
    Image.fromarray(mask).convert("L").save(path)
    return str(path)


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


ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(maskmend.__file__).parents[1]),
    "OMP_NUM_THREADS": "1",
}


def run(*command, **options):
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=ENVIRONMENT, timeout=1200, **options
    )
