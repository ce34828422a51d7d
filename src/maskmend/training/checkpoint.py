"""Checkpoints of a run: written atomically, and read without unpickling anything but tensors.

A checkpoint has the stage's state (weights, their moving average, optimizers), the step and the recipe. It is
written to a temporary name, synced and renamed, so a crash leaves the previous one intact.
"""

import os
from pathlib import Path
from typing import Any

import torch

from maskmend.errors import TrainingError
from maskmend.pretrained.migrations import FORMAT, migrate_checkpoint
from maskmend.storage import torch_file
from maskmend.storage.formats import check_format
from maskmend.storage.temporary import written_whole


def write(path: Path, content: dict[str, Any]) -> None:
    """Atomically writes `content` (tensors, numbers, strings, lists, dictionaries).

    Raises TrainingError when the disk is full or the folder cannot be written; the previous file stays.
    """
    try:
        with written_whole(path) as temporary, temporary.open("wb") as file:
            torch.save({"format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        reason = one_line(error)
        raise TrainingError(
            f"cannot write checkpoint {path}: {reason}; make room or choose another --output"
        ) from error


def read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of this format or an older one, with the present names.

    Raises TrainingError when it is damaged, no checkpoint of a run, or of a newer format.
    """
    try:
        torch_file.check(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the reader raise nearly anything
        raise TrainingError(
            f"cannot read checkpoint {path}: {one_line(error)}; "
            "put best.pt in its place, or start over with --restart"
        ) from None
    found = content.get("format") if isinstance(content, dict) else None
    otherwise = "is it the checkpoint of a run?"
    check_format(found, FORMAT, f"checkpoint {path}", TrainingError, otherwise=otherwise)
    return content if found == FORMAT else migrate_checkpoint(content)


def one_line(error: Exception) -> str:
    """The message of a library's error, shortened for reading."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
