"""A few kills in every run of the suite, and whether the harness would see what they break."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from guards.cases import TRIED
from guards.kill_run import outcome, result


@pytest.mark.slow
def test_a_few_kills_change_no_result() -> None:
    """Catches a run that does not go on after a kill, or comes to something else, or leaves files behind."""
    script = Path(__file__).parent / "kill_run.py"
    kinds = ("tokenizer", "folder run", "bulk run", "conversion")  # the others take longer: at night
    command = [sys.executable, script, "--kills", "4", "--seed", "3"]
    command += [word for kind in kinds for word in ("--only", kind)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count("1 kills tried") == 4
    TRIED["SIGKILL harness"] += 4


def test_the_harness_sees_what_differs(tmp_path: Path) -> None:
    """Catches a comparison that leaves out a file, a weight, or a figure."""
    (tmp_path / "figures.jsonl").write_text('{"loss": 1.0, "time": 3}\n')
    torch.save({"weights": [torch.ones(2)], "seconds": 3.0}, tmp_path / "last.pt")
    before = result(tmp_path)
    (tmp_path / "figures.jsonl").write_text('{"loss": 1.0, "time": 4}\n')
    torch.save({"weights": [torch.ones(2)], "seconds": 4.0}, tmp_path / "last.pt")
    assert result(tmp_path) == before
    torch.save({"weights": [torch.ones(2) * 2], "seconds": 4.0}, tmp_path / "last.pt")
    assert result(tmp_path) != before
    torch.save({"weights": [torch.ones(2)], "seconds": 4.0}, tmp_path / "last.pt")
    (tmp_path / "figures.jsonl").write_text('{"loss": 1.5, "time": 4}\n')
    assert result(tmp_path) != before
    (tmp_path / "figures.jsonl").write_text('{"loss": 1.0, "time": 4}\n')
    (tmp_path / ".last.pt.123").write_bytes(b"left behind")
    assert set(result(tmp_path)) - set(before) == {".last.pt.123"}


def test_only_a_process_at_work_counts_as_killed() -> None:
    """Catches kills that are counted though the command had ended, or failed, before."""
    for code, wanted in (("raise SystemExit(3)", 3), ("pass", 0)):
        for until in (None, 0.0):  # 0: the moment of the kill is past
            process = subprocess.Popen([sys.executable, "-c", code])
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has noticed
            assert outcome(process.pid, until) == wanted
            process.returncode = 0  # it has been waited for
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert outcome(process.pid, 0.0) is None
    process.returncode = -signal.SIGKILL
    process.communicate()
