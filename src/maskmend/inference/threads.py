"""How PyTorch's threads wait for each other.

Between two parallel parts of a computation OpenMP's threads spin: they keep their cores busy for a while, in
case that work comes soon. Where other programs want the cores, a thread that waits takes the time of the one
that it waits for, and a fill of 0.1 s takes 5 s. A thread that sleeps at once, however, has to be woken for
the next part, and an idle machine takes 1.5 times as long. So threads spin for some 30 microseconds, which
lasts from one part of a pass to the next, and then sleep; `bench/threads.py` compares the ways.

The variables are read when PyTorch's library is loaded, so they have to be set before `import torch`.
"""

import os
import sys

WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}
"""GNU's library takes the second, which overrules the first; others know the first alone."""
OWN_CHOICE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user says how threads wait: the standard's, GNU's, and LLVM's and Intel's."""


def wait_briefly() -> None:
    """Makes threads that wait sleep soon, unless the user has chosen otherwise, or PyTorch is loaded
    already."""
    if "torch" not in sys.modules and not any(name in os.environ for name in OWN_CHOICE):
        os.environ.update(WAITING)
