"""maskmend: fills holes in images with masked token modelling.

The public API: `InpaintPipeline`, its result `Inpainted`, its `Settings` and `FillEvents`, the sampler
`decode`, and the exceptions. They are imported on first use, so that `import maskmend` and `maskmend --help`
do not load torch.

Importing the package has one side effect, if it comes before `import torch`: waiting threads sleep instead of
spinning (`maskmend.inference.threads`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskmend.errors import (
    ConfigError,
    DataError,
    ImageError,
    MaskError,
    MaskmendError,
    MaskWarning,
    ModelError,
    OutputError,
    TrainingError,
    WeightsError,
)
from maskmend.inference.threads import wait_briefly

if TYPE_CHECKING:
    from maskmend.decoding import decode
    from maskmend.fill.events import FillEvents
    from maskmend.fill.result import Inpainted
    from maskmend.pipeline import InpaintPipeline
    from maskmend.settings import Settings

__version__ = "0.2.0.dev0"

wait_briefly()

_LAZY = {
    "FillEvents": "maskmend.fill.events",
    "InpaintPipeline": "maskmend.pipeline",
    "Inpainted": "maskmend.fill.result",
    "Settings": "maskmend.settings",
    "decode": "maskmend.decoding",
}

__all__ = [
    "ConfigError",
    "DataError",
    "FillEvents",
    "ImageError",
    "InpaintPipeline",
    "Inpainted",
    "MaskError",
    "MaskWarning",
    "MaskmendError",
    "ModelError",
    "OutputError",
    "Settings",
    "TrainingError",
    "WeightsError",
    "decode",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'maskmend' has no attribute {name!r}")
