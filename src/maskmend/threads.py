"""How PyTorch's threads wait for each other.

Between two parallel sections OpenMP's threads spin: they keep their cores busy for a while, in case work
arrives soon. If other programs need the cores, a waiting thread takes time from the one it waits for, and a
fill of 0.1 s takes 5 s. With OMP_WAIT_POLICY=PASSIVE waiting threads sleep.

The variable is read when PyTorch's library is loaded, so it has to be set before `import torch`.
"""

import os
import sys

WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
OWN_CHOICE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user says how threads wait: the standard's, GNU's, and LLVM's and Intel's."""


def wait_passively() -> None:
    """Makes threads sleep while they wait, unless the user chose, or PyTorch is loaded and it is too late."""
    if "torch" not in sys.modules and not any(name in os.environ for name in OWN_CHOICE):
        os.environ.update(WAITING)
