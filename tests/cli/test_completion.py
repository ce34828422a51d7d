"""Completion in shells: the scripts are printed, and what a shell asks for is answered, quickly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import maskmend
from maskmend.cli import main

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(maskmend.__file__).parents[1])}


def completed(line):
    """What bash is told for a line whose last word is begun."""
    words = line.split(" ")
    asked = {"_MASKMEND_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    result = CliRunner(env=asked).invoke(main, [], prog_name="maskmend")
    return [line.partition(",")[2] for line in result.output.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_script(shell):
    """Catches a script for another program's name."""
    result = CliRunner().invoke(main, ["completion", shell], prog_name="maskmend")
    assert result.exit_code == 0, result.output
    assert f"_MASKMEND_COMPLETE={shell}_complete" in result.output
    assert CliRunner().invoke(main, ["completion", "csh"], prog_name="maskmend").exit_code == 2


def test_commands_options_and_values_are_completed():
    """Catches values that only the help tells."""
    assert {"inpaint", "doctor", "completion"} <= set(completed("maskmend "))
    assert completed("maskmend inpaint --mask-b") == ["--mask-box"]
    assert completed("maskmend inpaint x.png --model ca") == ["cats64"]
    assert completed("maskmend inpaint x.png --schedule squ") == ["square", "square_root"]
    assert "top_p=" in completed("maskmend inpaint x.png --set to")
    assert completed("maskmend inpaint x.png --set ranking=t") == ["ranking=typical"]
    assert completed("maskmend inpaint x.png --mask-channel al") == ["alpha"]
    assert completed("maskmend serve --device c") == ["cpu", "cuda"]


def test_a_shell_does_not_wait_for_pytorch():
    """Catches an import that makes every press of the tab key take a second."""
    program = (
        "import sys\nfrom maskmend.cli import main\n"
        "try: main(prog_name='maskmend')\nexcept SystemExit: pass\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules), sorted(sys.modules)\n"
    )
    asked = {
        "_MASKMEND_COMPLETE": "bash_complete", "COMP_WORDS": "maskmend inpaint --set s", "COMP_CWORD": "3",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT | asked, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "plain,steps=" in done.stdout
