"""What a fill costs with a converted model, as measured for its architecture and size: a line of its card.

`bench/checkpoints/full_size.py` measures it, with random weights, and writes the figures beside this file.
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
    """Markdown; empty for a size that was not measured.

    Args:
        architecture: of the network, as its class names it.
        side: of the model's pictures, in pixels.
        dim: width of the network.
    """
    for one in _measured():
        if (one["architecture"], one["side"], one["dim"]) == (architecture, side, dim):
            return TEXT.format_map(one)
    return ""


TEXT = """- What a fill costs: with a quarter of a {side} x {side} picture missing, {fp32} s of CPU time in
  float32 and {bf16} s in bfloat16 at {steps} steps, {bf16_few} s in bfloat16 at {few}, under one class or
  none; guidance doubles it. The process had {gigabytes} GB at most. Two threads, {machine}.
"""
