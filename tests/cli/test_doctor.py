"""`maskmend doctor`: what it says is true of this machine, and what does not work is told as such."""

import json
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from packaging.requirements import Requirement

from maskmend.cli import extras, main

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Three packages: one that works, one that raises when it is imported, one that is not there."""
    (tmp_path / "sound_package.py").write_text("")
    (tmp_path / "broken_package.py").write_text("raise OSError('libbroken.so: cannot open\\nshared object')")
    monkeypatch.syspath_prepend(tmp_path)

    def version(name):
        if name == "absent":
            raise PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(extras, "version", version)
    found = {
        "heif": ("pictures", {"sound": "sound_package"}),
        "ray": ("clusters", {"sound": "sound_package", "broken": "broken_package"}),
        "text": ("words", {"absent": "absent_package"}),
    }
    monkeypatch.setattr(extras, "EXTRAS", found)


def doctor(*options):
    return CliRunner().invoke(main, ["doctor", *options], prog_name="maskmend")


def test_what_is_installed_and_broken_is_told(installed):
    """Catches a broken installation that counts as a good one, or ends in a traceback."""
    result = doctor("--no-speed")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert f"PyTorch {torch.__version__}" in lines[0]
    assert lines[4].startswith("  cpu: works, ")
    assert "  heif (pictures): sound 1.2" in lines
    assert "  ray (clusters): does not work: broken" in lines
    assert "  text (words): not installed" in lines
    assert "does not work: broken: libbroken.so: cannot open shared object" in lines
    assert "models: cats64, photo" in lines
    assert "speed" not in result.output


def test_a_program_reads_it_as_json(installed, tiny_model, monkeypatch):
    """Catches figures that are missing, or a device that is said to work and was not tried."""
    monkeypatch.setattr(extras, "EXTRAS", {"text": extras.EXTRAS["text"]})
    result = doctor("--json", "--model", str(tiny_model))
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["broken"] == []
    assert report["devices"]["cpu"].startswith("works, ")
    assert report["devices"]["cuda"].startswith("works") == torch.cuda.is_available()
    speed = report["speed"]
    assert speed["side"] == 16
    assert min(speed["fill_ms"], speed["four_fills_ms"], speed["load_ms"]) > 0


def test_a_device_that_does_not_work_is_amiss(installed, monkeypatch):
    """Catches a driver that fails, and "nothing is amiss" said of it."""

    def pick(name):
        raise RuntimeError("driver version is insufficient\n(more lines)")

    monkeypatch.setattr(extras, "EXTRAS", {})
    monkeypatch.setattr("maskmend.inference.devices.pick_device", pick)
    result = doctor("--no-speed")
    assert result.exit_code == 1
    assert "does not work: cpu: does not work (driver version is insufficient)" in result.output.splitlines()


def test_an_unknown_model_is_one_line(installed):
    result = doctor("--model", "photos")
    assert result.exit_code == 2
    assert "photo" in result.stderr.splitlines()[-1]


def test_the_extras_are_those_that_can_be_installed():
    """Catches an extra, or a package of one, that is added and that doctor does not know."""
    declared = {
        name: {Requirement(line).name for line in lines}
        for name, lines in PROJECT["optional-dependencies"].items()
        if name not in ("dev", "docs", "lint")
    }
    assert {name: set(packages) for name, (_, packages) in extras.EXTRAS.items()} == declared
