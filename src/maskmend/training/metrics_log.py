"""The metrics of a run: one JSON object per line in metrics.jsonl, and TensorBoard if the recipe says so.

A line is {"kind": "train" or "validation", "step": ..., "time": seconds since 1970, metric: value, ...}. On
resuming, lines after the checkpoint are removed, because the run writes them again.
"""

import json
import time
from pathlib import Path
from typing import Any

from maskmend.errors import ConfigError, pip_install
from maskmend.storage.files import write_files


class MetricsLog:
    """Writes metrics into folder `out`, continuing after step `start`."""

    def __init__(self, out: Path, start: int, *, tensorboard: bool = False) -> None:
        self.path = out / "metrics.jsonl"
        _trim(self.path, start)
        self.board = board_class()(str(out / "tensorboard"), purge_step=start + 1) if tensorboard else None

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Appends one line, values to six digits."""
        line = {"kind": kind, "step": step, "time": round(time.time(), 3)}
        line |= {name: float(f"{value:.6g}") for name, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        if self.board is not None:
            self.board.close()


def board_class() -> Any:
    """PyTorch's writer for TensorBoard. Raises ConfigError when TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "training.tensorboard = true needs TensorBoard, which is not installed: "
            f"{pip_install('tensorboard')}, or leave it out"
        ) from None
    return SummaryWriter


def _trim(path: Path, step: int) -> None:
    """Keeps the lines up to `step`; a last line truncated by a crash is dropped too."""
    if not path.is_file():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step(line) <= step]
    write_files({path: "".join(line + "\n" for line in kept).encode()})


def _step(line: str) -> int | float:
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, TypeError, KeyError):
        return float("inf")
