"""Three tiny models exported to ONNX, once for all tests that run the graphs: exporting takes seconds."""

from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import jaxtyping

from fakes import tiny_models
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
