"""Training in several processes started by torchrun, with PyTorch's own modules.

    ddp     each process holds the whole model; gradients are averaged bucket by bucket during the backward
            pass (DistributedDataParallel)
    fsdp    each process holds a share of weights, gradients, moving average and optimizer, and gathers the
            weights of a block when it computes it (FSDP2, `fully_shard`)

With accumulation, processes synchronise in the last micro-batch only.
"""

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

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


def rank_and_world() -> tuple[int, int]:
    """(rank, number of processes)."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def data_parallel(module: nn.Module, *, unused: bool = False) -> nn.Module:
    """`module` behind DistributedDataParallel: to call in training, where gradients are to be averaged. With
    one process `module` itself.

    Args:
        unused: whether some weights may be unused in a step; finding them costs a traversal of the graph.

    Gradients of parts of the graph (`torch.autograd.grad`) are those of this process: they do not reach the
    hooks that average.
    """
    if not dist.is_initialized():
        return module
    with warnings.catch_warnings():
        # The buffers, codebooks, are updated alike in all processes. What newer versions call this, those
        # before do not know.
        warnings.simplefilter("ignore", FutureWarning)
        return nn.parallel.DistributedDataParallel(
            module, broadcast_buffers=False, gradient_as_bucket_view=True, find_unused_parameters=unused
        )


def fully_sharded(module: nn.Module, blocks: Iterable[nn.Module], *, trained: bool) -> None:
    """Shards the weights of `module` in place, those of each of `blocks` by themselves. A no-op with one
    process. Weights that are not `trained` are given back after each forward pass."""
    if not dist.is_initialized():
        return
    from torch.distributed.fsdp import fully_shard

    for block in blocks:
        fully_shard(block)
    fully_shard(module, reshard_after_forward=None if trained else True)


@contextmanager
def gradients_meet(module: nn.Module, last: bool) -> Iterator[None]:
    """Around forward and backward pass of a micro-batch: gradients are averaged in the `last` of a step."""
    if not dist.is_initialized():
        yield
        return
    from torch.distributed.fsdp import FSDPModule

    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(last)
    waits = isinstance(module, nn.parallel.DistributedDataParallel) and not last
    with cast("Any", module).no_sync() if waits else nullcontext():
        yield


def local(tensor: Tensor) -> Tensor:
    """This process's share of a sharded tensor; any other as it is."""
    return cast("Any", tensor).to_local() if hasattr(tensor, "to_local") else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a sharded tensor, gathered by all processes; any other as it is."""
    return cast("Any", tensor).full_tensor() if hasattr(tensor, "full_tensor") else tensor


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
