"""Checkpoints of a run: written whole or not at all, read without unpickling anything but tensors.

A checkpoint holds the stage's state (weights, averages, optimizers), the step and the recipe. It is written to a
temporary name, synced and renamed, so a crash leaves the one before intact.
"""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from maskmend.errors import TrainingError

FORMAT = 1


def write(path: Path, content: dict[str, Any]) -> None:
    """Atomically writes `content` (tensors, numbers, strings, lists, dictionaries)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint. Raises TrainingError when it is damaged or of a newer format."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(f"cannot read checkpoint {path}: {error}; delete it to start from the one before") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise TrainingError(f"{path} has checkpoint format {found}, this version reads {FORMAT}: upgrade maskmend")
    return content
