"""The peak of a process is its own."""

import subprocess
import sys

from maskmend.benchmark.memory import peak_memory


def test_a_small_child_of_a_large_process_is_small():
    """Catches the parent's peak given for the child's, as getrusage has it: a benchmark's figure was that of
    the benchmarks before.
    """
    large = bytearray(400 * 2**20)
    assert peak_memory() > 400 * 2**20
    program = "from maskmend.benchmark.memory import peak_memory\nprint(peak_memory())"
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert 2**20 < int(ran.stdout) < 300 * 2**20
    del large
