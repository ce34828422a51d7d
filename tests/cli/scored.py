"""Commands that score fills, with networks of a few lines and pictures of a few pixels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import nn

from experiments.reproduce.conftest import mean_distance, small_features
from maskmend.cli import main

SIDE, COUNT = 16, 6


class SmallInception:
    features = staticmethod(small_features)


class SmallLpips(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return mean_distance(a, b)


def write(folder: Path, pictures: list[np.ndarray]) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def invoke(*command: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in command], prog_name="maskmend")


def succeed(*command: str | Path) -> Result:
    result = invoke(*command)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())
