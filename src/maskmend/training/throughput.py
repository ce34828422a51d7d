"""The speed of a run: images per second, the share of time spent waiting for data, and MFU.

    MFU = floating-point operations of the model's products a second / those of one large matrix product

(model FLOPs utilisation, Chowdhery et al. 2022, section 4.1, with the peak measured instead of looked up). If
other processes slowed that product down so that the run is faster, the run's own speed is the peak. PyTorch
counts the operations during the last step before each reading: by then a discriminator may have become
active, and cached pictures are no longer encoded.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from maskmend.inference.roofline import matrix_ceiling


class Operations(TorchDispatchMode):
    """Counts floating-point operations by PyTorch's own formulas.

    PyTorch's `FlopCounterMode`, which also counts by module, fails for gradients of parts of a graph.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


class Meter:
    """Throughput of the steps since it was last read.

    Args:
        batch: images a step, over all processes; MFU is that of this process.
        bf16: whether the products run in bfloat16.
    """

    def __init__(self, batch: int, device: torch.device, *, bf16: bool) -> None:
        self.batch = batch
        self.ceiling = matrix_ceiling("bf16" if bf16 else "fp32", device)
        self.operations = 0.0  # of this process's share of a step
        self.restart()

    def restart(self) -> None:
        """Starts over, after something other than training."""
        self.start, self.waited, self.steps = time.perf_counter(), 0.0, 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what fetches the next batch."""
        start = time.perf_counter()
        yield
        self.waited += time.perf_counter() - start

    @contextmanager
    def step(self, *, counted: bool) -> Iterator[None]:
        """Around a step, which does not wait for the device; `counted` is the last before `read`."""
        if counted:
            with Operations() as operations:
                yield
            self.operations = float(operations.total)
        else:
            yield
        self.steps += 1

    def read(self) -> dict[str, float]:
        """Images a second, MFU and the share of the time spent waiting for data; empty without a step."""
        spent, steps = time.perf_counter() - self.start, self.steps
        if steps == 0:
            return {}
        reached = steps * self.operations / spent
        self.ceiling = max(self.ceiling, reached)
        figures = {
            "images_per_second": steps * self.batch / spent,
            "mfu": reached / self.ceiling,
            "data_wait": self.waited / spent,
        }
        self.restart()
        return figures
