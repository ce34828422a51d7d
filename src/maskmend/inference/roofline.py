"""The peak speed of this machine: large matrix products in three number formats, and copying memory.

Other speeds are reported as a share of these. They are measured rather than looked up, so that a busy or
throttled machine is compared with itself.
"""

import time
from collections.abc import Callable
from functools import lru_cache

import torch

from maskmend.inference.packed_linear import PackedLinear

FORMATS = ("fp32", "bf16", "int8")
SIDE = {"cpu": 1536, "cuda": 8192}


def product(number_format: str, device: torch.device, side: int) -> Callable[[], object]:
    """A product of two square matrices. Raises RuntimeError where the device cannot do it.

    On a CPU, PyTorch has two libraries for it, one perhaps twice as fast as the other: the faster.
    """
    if number_format == "int8":
        a = torch.ones(side, side, dtype=torch.int8, device=device)
        # With sums in int32: the only product of int8 that PyTorch offers.
        return lambda: torch._int_mm(a, a)  # pyright: ignore[reportPrivateImportUsage]
    dtype = torch.bfloat16 if number_format == "bf16" else torch.float32
    a = torch.randn(side, side, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    if device.type != "cpu":
        return lambda: a @ a
    packed = PackedLinear(a, None)
    return fastest([lambda: a @ a, lambda: packed(a)], device)


def fastest(ways: list[Callable[[], object]], device: torch.device) -> Callable[[], object]:
    """The fastest of several implementations, each timed twice after a warm-up run."""
    for work in ways:
        work()
    return min(ways, key=lambda work: min(seconds(work, device) for _ in range(2)))


def side_of(device: torch.device) -> int:
    """Side of the matrices that are multiplied: large enough for the best rate, small enough to be quick."""
    return SIDE.get(device.type, 4096)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long `work` takes, including a synchronisation with the device."""
    settle(device)
    start = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - start


def settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@lru_cache(maxsize=8)
def matrix_ceiling(number_format: str, device: torch.device) -> float:
    """Floating-point operations a second of a large matrix product: the best of five, measured once."""
    side = side_of(device)
    work = product(number_format, device, side)
    work()
    return 2 * side**3 / min(seconds(work, device) for _ in range(5))
