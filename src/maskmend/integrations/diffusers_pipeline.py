"""A diffusers pipeline around maskmend, which diffusers loads from a folder written by maskmend
(`DiffusersInpaintPipeline.save_pretrained`); that needs `trust_remote_code=True`. It only calls maskmend.
"""

from typing import Any

from diffusers import DiffusionPipeline, ImagePipelineOutput  # pyright: ignore[reportMissingImports]

from maskmend import InpaintPipeline
from maskmend.integrations.diffusers_call import DiffusersInpaintPipeline


class MaskmendInpaintPipeline(DiffusersInpaintPipeline, DiffusionPipeline):
    """See `DiffusersInpaintPipeline.__call__`."""

    def __init__(self, model: InpaintPipeline) -> None:
        DiffusionPipeline.__init__(self)
        self.register_modules(model=model)

    def set_progress_bar_config(self, **config: Any) -> None:
        DiffusionPipeline.set_progress_bar_config(self, **config)

    def _output(self, images: Any) -> ImagePipelineOutput:
        return ImagePipelineOutput(images=images)
