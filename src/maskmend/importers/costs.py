"""The line of a converted model's card that states the measured cost of a fill.

`bench/checkpoints/full_size.py` measures the cost with random weights and writes `fill_costs.json`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("fill_costs.json")


@cache
def _measured() -> list[dict[str, Any]]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def cost_line(architecture: str, side: int, dim: int) -> str:
    """A list item in Markdown, or an empty string if this size was not measured.

    Args:
        architecture: the class attribute `architecture` of the network.
        side: size of the model's pictures in pixels.
        dim: width of the network.
    """
    for one in _measured():
        if (one["architecture"], one["side"], one["dim"]) == (architecture, side, dim):
            return TEXT.format_map(one)
    return ""


TEXT = """- What a fill costs: for a hole of a quarter of a {side} x {side} picture, {fp32} s of CPU time in
  float32 and {bf16} s in bfloat16 with {steps} steps, {bf16_few} s in bfloat16 with {few}; guidance doubles
  this. Peak memory {gigabytes} GB. Two threads, {machine}.
"""
