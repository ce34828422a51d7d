"""Three tiny models exported to ONNX, once for all tests that run the graphs: exporting takes seconds.

Where a graph of the same layers and weights is exported again (the tokenizer of the second model, all that
the benchmark exports), PyTorch's exporter is not run again; everything else is.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import jaxtyping
import torch
from torch import Tensor, nn

from fakes import tiny_models
from maskmend.export import onnx as onnx_export
from maskmend.export.onnx import export_onnx
from maskmend.pipeline import InpaintPipeline

KINDS = {
    "prefix": {},
    "full": {
        "attention": "full", "hints": False, "norm": "post", "positions": "learned", "marks_hole": False,
    },
    "tokens alone": {"sees_known": False},
}  # fmt: skip
"""Changes of the models; the decoder of the last sees no known pixels, as stage 1 leaves it."""


Axes = dict[str, dict[int, str]]
_export = onnx_export._exported
_graphs: dict[str, bytes] = {}


def _exported_once(graph: nn.Module, inputs: dict[str, Tensor], axes: Axes, outputs: Sequence[str]) -> bytes:
    """`maskmend.export.onnx._exported`, of graphs it has not seen yet."""
    parts = [getattr(graph, name) for name in ("model", "tokenizer") if hasattr(graph, name)]
    told = [type(graph).__qualname__, graph, *(part.config for part in parts), vars(graph).get("distances")]
    told += [{name: tuple(value.shape) for name, value in inputs.items()}, axes, list(outputs)]
    state = hashlib.sha256(repr(told).encode())
    for name, value in graph.state_dict().items():
        state.update(name.encode() + value.detach().reshape(-1).view(torch.uint8).numpy().tobytes())
    key = state.hexdigest()
    if key not in _graphs:
        _graphs[key] = _export(graph, inputs, axes, outputs)
    return _graphs[key]


onnx_export._exported = _exported_once


@lru_cache
def exported(kind: str) -> tuple[InpaintPipeline, Path]:
    """The pipeline and the folder of its graphs."""
    pipe, folder = InpaintPipeline(*tiny_models(**KINDS[kind])), Path(mkdtemp(prefix="maskmend-onnx-"))
    # The exporter would trace the annotations' checks too, which takes five times as long.
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        export_onnx(pipe, folder)
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
    return pipe, folder
