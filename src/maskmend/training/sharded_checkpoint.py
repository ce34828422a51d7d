"""Checkpoints of sharded weights: each process writes its share (torch.distributed.checkpoint).

    last.json           step, lowest validation loss, recipe, and the folder with the tensors
    last-0000250/       safetensors with the position of each part in its tensor

Tensors can be read into different shares, so a run can be resumed with another number of processes, also with
one. `last.json` is replaced after everything is written, so a crash leaves the previous checkpoint intact.
"""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from maskmend.errors import ConfigError, TrainingError
from maskmend.pretrained.migrations import FORMAT
from maskmend.storage.files import json_bytes, write_files
from maskmend.storage.formats import check_format
from maskmend.training.checkpoint import one_line
from maskmend.training.distributed import rank_and_world

OLDEST_FORMAT = 2
"""There were no sharded checkpoints before."""


def safetensors_storage() -> Any:
    """PyTorch's module for parts in safetensors; its usual format is pickled. Raises ConfigError where this
    PyTorch has none."""
    try:
        from torch.distributed.checkpoint import hf_storage
    except ImportError:
        hf_storage = None
    if not hasattr(hf_storage, "HuggingFaceStorageWriter"):
        raise ConfigError(
            f'training.parallel = "fsdp" needs checkpoints that PyTorch {torch.__version__} does not know: '
            "upgrade torch"
        )
    return hf_storage


def write(path: Path, content: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Writes `content`, which JSON can hold and has the "step", and the `tensors`; all processes call it.

    Raises TrainingError; the previous checkpoint stays.
    """
    rank, _ = rank_and_world()
    folder = path.with_name(f"{path.stem}-{content['step']:07d}")
    if _named(path) == folder.name:
        return  # of this step, and whole
    alone = not dist.is_initialized()
    if not alone:
        dist.barrier()  # all have looked
    if rank == 0:
        shutil.rmtree(folder, ignore_errors=True)  # left by a killed run
    if not alone:
        dist.barrier()
    storage = safetensors_storage()
    from torch.distributed.checkpoint import state_dict_saver

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it saves in a single process
            writer = storage.HuggingFaceStorageWriter(str(folder), save_distributed=True)
            state_dict_saver.save(tensors, storage_writer=writer, no_dist=alone)
        if rank == 0:
            write_files({path: json_bytes({"format": FORMAT, **content, "folder": folder.name})})
    except Exception as error:  # a full disk raises one of many types
        raise TrainingError(
            f"cannot write checkpoint {path}: {one_line(error)}; make room or choose another --output"
        ) from error
    if rank == 0:
        for other in path.parent.glob(f"{path.stem}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
    if not alone:
        dist.barrier()  # the next read of `path` finds this one


def read(path: Path) -> dict[str, Any]:
    """The content of the JSON file. Raises TrainingError when it is damaged or of a newer format."""
    remedy = "start over with --restart"
    try:
        content = json.loads(path.read_bytes())
        check_format(
            content["format"],
            FORMAT,
            f"checkpoint {path}",
            TrainingError,
            otherwise=remedy,
            oldest=OLDEST_FORMAT,
        )
        missing = not (path.parent / str(content["folder"])).is_dir()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"cannot read checkpoint {path}: {one_line(error)}; {remedy}") from None
    if missing:
        folder = content["folder"]
        raise TrainingError(f"cannot read checkpoint {path}: its folder {folder} is missing; {remedy}")
    return content


def load(path: Path, tensors: dict[str, Tensor]) -> None:
    """Reads the tensors of a checkpoint into `tensors`, in place; all processes call it. Raises
    TrainingError."""
    reader = safetensors_storage().HuggingFaceStorageReader(str(path.parent / read(path)["folder"]))
    try:
        from torch.distributed.checkpoint import state_dict_loader

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state_dict_loader.load(tensors, storage_reader=reader, no_dist=not dist.is_initialized())
    except Exception as error:
        raise TrainingError(
            f"cannot read checkpoint {path}: {one_line(error)}; start over with --restart"
        ) from error


def remove(path: Path) -> None:
    """Removes the checkpoint, if there is one."""
    path.unlink(missing_ok=True)
    for folder in path.parent.glob(f"{path.stem}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _named(path: Path) -> str | None:
    """The folder that the checkpoint names."""
    try:
        return json.loads(path.read_bytes())["folder"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
