"""`maskmend bench` from end to end on the tiny model, with peers that are none."""

import json
import sys

import pytest
from click.testing import CliRunner

from maskmend.benchmark import run as module
from maskmend.benchmark.peers import peer_cases
from maskmend.benchmark.training import train_once
from maskmend.cli import main
from maskmend.errors import ConfigError
from maskmend.model_folder import find_model
from maskmend.transformer import small_config

PEER = """
import json, sys
sizes = json.loads(sys.stdin.readline())
print(json.dumps({"ready": ["another"], "failed": FAILED}), flush=True)
for line in sys.stdin:
    print(json.dumps(0.25 if json.loads(line) == "another" else None), flush=True)
"""


def peers(folder, failed=None):
    """A folder as bench/peers/build.py leaves it."""
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / "serve.py").write_text(PEER.replace("FAILED", repr(failed or {})))
    return folder


def test_a_quick_look_writes_table_and_figures(tiny_model, tmp_path, monkeypatch):
    """Catches a benchmark that breaks after its ten minutes, before anything is written."""
    monkeypatch.setattr(module, "QUICK", (1, 10.0))
    monkeypatch.setattr("maskmend.ceilings.SIDE", {"cpu": 64})
    monkeypatch.setattr("maskmend.benchmark.machine.COPIED", 1000)
    out, folder = tmp_path / "out", peers(tmp_path / "peers")
    arguments = ["bench", "--quick", "--model", str(tiny_model), "-o", str(out), "--peers", str(folder)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    table = (out / "bench.md").read_text()
    assert table in result.output
    assert "| another | 250.0 ms" in table
    assert "hole 5 %" in table
    groups = {case["group"] for case in json.loads((out / "bench.json").read_text())["cases"]}
    assert groups == {"ceilings", "full pass", "fill", "steps", "peers", "whole fill"}


def test_peers_that_do_not_run_are_named(tmp_path):
    """Catches a table in which a peer is silently missing."""
    broken = peers(tmp_path / "broken", {"one": "ImportError: no"})
    for folder, message in ((tmp_path / "none", "build them with"), (broken, "one: ImportError: no")):
        with pytest.raises(ConfigError, match=message), peer_cases(folder, small_config(), 64):
            pass


@pytest.mark.slow
def test_a_training_run_tells_its_figures(tmp_path):
    """Catches a recipe of the benchmark that the trainer refuses, or figures it does not tell."""
    told = train_once("transformer", tmp_path, find_model("default") / "tokenizer", 2)
    assert told["images_per_second"] > 0
    assert told["mfu"] > 0
    assert 0 <= told["data_wait"] < 1
