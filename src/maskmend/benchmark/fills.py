"""Benchmarks of whole fills and of startup time."""

import inspect
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from maskmend.benchmark.timing import Case, clocked
from maskmend.errors import ConfigError
from maskmend.export.onnx import export_onnx
from maskmend.pipeline import InpaintPipeline
from maskmend.runtime import Runtime

IMPORTS = "import maskmend.pipeline"
SHARES = (2, 5, 10, 20, 35, 50, 75, 100)
"""Hole sizes of the batch, in percent of the picture."""
FIRST_FILL = "imports, loading and the first fill"


def picture(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth colour picture with a hole of a fifth of its area."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    image = np.stack([255 * rows, 255 * columns, 128 + 60 * np.sin(9 * rows)], axis=2).astype(np.uint8)
    mask = np.zeros((side, side), dtype=bool)
    mask[side // 4 : side // 4 + round(0.45 * side), side // 4 : side // 4 + round(0.45 * side)] = True
    return image, mask


def scratched(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The same colours with a scratch five pixels wide from the upper left to the right."""
    rows, columns = np.mgrid[0:side, 0:side]
    return picture(side)[0], np.abs(rows - columns / 2) <= 2


FIRST = f"""
import sys
import numpy as np
from maskmend.pipeline import InpaintPipeline
{inspect.getsource(picture)}
pipe = InpaintPipeline.from_pretrained(sys.argv[1])
pipe(*picture(pipe.resolution))
"""
"""The first of `whole_cases`, as the first fill of a process."""


def batch(side: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A picture for each of SHARES, with a hole of that size in its upper rows."""
    image, _ = picture(side)
    rows = np.arange(side)[:, None].repeat(side, 1)
    return [image] * len(SHARES), [rows < max(1, round(share / 100 * side)) for share in SHARES]


def whole_cases(pipe: InpaintPipeline) -> list[Case]:
    """A picture of the model's size, larger ones, four samples, and a batch of eight holes."""
    cases = []
    side = pipe.resolution
    for name, hole, samples in (
        (f"{side} x {side}", picture(side), 1),
        (f"{side} x {side}, four samples", picture(side), 4),
        (f"{4 * side} x {4 * side}", picture(4 * side), 1),
        (f"{4 * side} x {4 * side}, a scratch across", scratched(4 * side), 1),
    ):
        run = clocked(partial(pipe, *hole, samples=samples))
        cases.append(Case(group="whole fill", name=name, run=run))
    images, masks = batch(side)
    for name, work in (
        ("8 pictures, holes of 2 to 100 %, one batch", partial(pipe, images, masks)),
        ("the same 8, each alone", lambda: [pipe(*pair) for pair in zip(images, masks, strict=True)]),
    ):
        cases.append(Case(group="whole fill", name=name, run=clocked(work), every=2))
    return cases


def runtime_cases(pipe: InpaintPipeline, folder: Path) -> list[Case]:
    """The same fill by ONNX Runtime, if it is installed: in float32 and, where it can quantize, with 8-bit
    weights."""
    try:
        from onnx.shape_inference import InferenceError  # pyright: ignore[reportMissingImports]
        from onnxruntime.quantization import quantize_dynamic  # pyright: ignore[reportMissingImports]

        export_onnx(pipe, folder / "fp32")
    except (ImportError, ConfigError):
        return []
    shutil.copytree(folder / "fp32", folder / "int8")
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a step that changes nothing here
    kinds = ("fp32", "int8")
    try:
        for graph in ("prefill.onnx", "step.onnx"):
            quantize_dynamic(
                folder / "fp32" / graph, folder / "int8" / graph, per_channel=True,
                op_types_to_quantize=["MatMul", "Gemm"],
            )  # fmt: skip
    except InferenceError:  # releases up to 1.26 do not read the graphs' dynamic shapes
        kinds = ("fp32",)
    side = pipe.resolution
    return [
        Case(
            group="whole fill",
            name=f"{side} x {side}, ONNX Runtime, {kind}",
            run=clocked(partial(Runtime(folder / kind, torch.get_num_threads()).fill, *picture(side))),
        )
        for kind in kinds
    ]


def start_cases(model: str) -> list[Case]:
    """Fresh processes: --help, imports alone, and everything up to the first filled picture."""

    def process(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    return [
        Case(group="start", name=name, run=clocked(work), every=3)
        for name, work in (
            ("maskmend --help", process("-m", "maskmend", "--help")),
            ("imports", process("-c", IMPORTS)),
            (FIRST_FILL, process("-c", FIRST, model)),
        )
    ]
