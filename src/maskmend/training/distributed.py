"""Data-parallel training through torchrun: start, rank, and the average of gradients.

Gradients are averaged by one all-reduce of a flat buffer a step, after accumulation. Unlike the wrapper
module of PyTorch this leaves the stages free to take gradients of parts of the graph (the adaptive
adversarial weight needs that) and to call a module several times before stepping.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn


@contextmanager
def process_group(device: torch.device) -> Iterator[tuple[int, int]]:
    """(rank, number of processes); joins torchrun's group if there is one and leaves it in the end."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, 1
        return
    # Gloo beside NCCL for what is asked on the CPU: see `agree`.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield dist.get_rank(), world
    finally:
        dist.destroy_process_group()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces every gradient by its mean over the processes; a no-op with one process."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def mean_over_processes(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """The mean of each figure over the processes."""
    if not dist.is_initialized() or not values:
        return values
    tensor = torch.tensor(
        list(values.values()), dtype=torch.float64 if device.type == "cpu" else torch.float32, device=device
    )
    dist.all_reduce(tensor)
    return dict(zip(values, (tensor / dist.get_world_size()).tolist(), strict=True))


def agree(flag: bool) -> bool:
    """True when any process says True: all stop at the same step.

    The processes ask each other on the CPU: no device has to finish its work for that.
    """
    if not dist.is_initialized():
        return flag
    tensor: Tensor = torch.tensor(float(flag))
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return bool(tensor > 0)
