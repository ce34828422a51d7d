"""Threads that wait must soon sleep, or a fill beside other programs takes twenty times as long."""

import os
import re
import subprocess
import sys

import pytest

from maskmend.inference.threads import OWN_CHOICE

TOLD = "import os; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"


def told(program, **variables):
    """What a process without a choice of the user's prints."""
    environment = {name: value for name, value in os.environ.items() if name not in OWN_CHOICE}
    finished = subprocess.run(
        [sys.executable, "-c", program], env=environment | variables, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return finished.stdout.strip()


@pytest.mark.parametrize("module", ["maskmend", "maskmend.cli", "maskmend.server.run"])
def test_threads_sleep_while_they_wait(module):
    """Catches a way in (Python, command line, server) that loads torch before the policy is set."""
    program = f"""
import os, sys
class Seen:
    def find_spec(self, name, *rest):
        if name == "torch":
            print("torch", os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT"))
            sys.exit()
sys.meta_path.insert(0, Seen())
import {module}, torch
"""
    assert told(program) == "torch PASSIVE 2000"


@pytest.mark.parametrize("name", OWN_CHOICE)
def test_the_users_choice_stays(name):
    """Catches a variable of the user's that is overruled, by itself or by another name for the same."""
    given = "ACTIVE" if name == "OMP_WAIT_POLICY" else "200"
    shown = {"OMP_WAIT_POLICY": "ACTIVE None", "GOMP_SPINCOUNT": "None 200", "KMP_BLOCKTIME": "None None"}
    assert told(f"import maskmend; {TOLD}", **{name: given}) == shown[name]


def test_it_is_not_set_when_it_would_be_too_late():
    """Catches a process that shows a policy which its loaded library never read."""
    program = f"import sys; sys.modules['torch'] = sys; import maskmend; {TOLD}"
    assert told(program) == "None None"


@pytest.mark.slow
def test_the_policy_reaches_the_library():
    """Catches a variable that is set, but after the library was loaded: it prints what it read."""
    program = "import maskmend, torch; torch.ones(2).sum()"
    environment = {name: value for name, value in os.environ.items() if name not in OWN_CHOICE}
    environment["OMP_DISPLAY_ENV"] = "VERBOSE"
    finished = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )  # fmt: skip
    shown = finished.stdout + finished.stderr
    if "OMP_WAIT_POLICY" not in shown:
        pytest.fail(f"this OpenMP does not say what it read: {shown}")
    read = dict(re.findall(r"(\w+) ?= ?'(\w+)'", shown))
    assert read["OMP_WAIT_POLICY"] == "PASSIVE"
    if "_OPENMP" in read and "GOMP_SPINCOUNT" in shown:  # GNU's library
        assert read["GOMP_SPINCOUNT"] == "2000"
