"""The call of diffusers' inpainting pipelines, for scripts written for aMUSEd or Stable Diffusion inpainting:

    pipe = DiffusersInpaintPipeline.from_pretrained("default")     # the one line that changes
    pipe(image=image, mask_image=mask, num_inference_steps=8, generator=torch.manual_seed(0)).images[0]

diffusers itself is not needed. `save_pretrained` writes a folder that its
`DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)` loads:

    folder/  model_index.json   pipeline.py (of `diffusers_pipeline`)
             model/             a model folder, and maskmend_model.py, by which diffusers loads it

Arguments without effect here (a prompt for a model without text, strength, height and width, ...) are
accepted and ignored with one warning. Pictures keep their size, and known pixels are unchanged.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from maskmend import __version__
from maskmend.errors import ConfigError, ImageError
from maskmend.fill.events import FillEvents
from maskmend.fill.result import Inpainted
from maskmend.pipeline import InpaintPipeline
from maskmend.storage.files import json_bytes, write_files

COMPONENT = f'''"""Loads this folder as maskmend's own pipeline. Written by maskmend {__version__}."""

from maskmend import InpaintPipeline

__all__ = ["InpaintPipeline"]
'''
SEEDS = 2**31


class FillOutput(NamedTuple):
    """What a call returns: `.images`, also as `[0]`."""

    images: list[Image.Image] | np.ndarray | Tensor


class DiffusersInpaintPipeline:
    """An `InpaintPipeline` (`model`) with the call and the output of diffusers' pipelines."""

    model: InpaintPipeline

    def __init__(self, model: InpaintPipeline) -> None:
        self.model = model

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "default", *, dtype: Any = None, torch_dtype: Any = None, **options: Any
    ) -> "DiffusersInpaintPipeline":
        """Loads a model as `InpaintPipeline.from_pretrained` does; diffusers' `dtype` and `torch_dtype` are
        ignored in favour of `precision`.

        A folder written by `save_pretrained` is accepted too. Raises ModelError.
        """
        inner = Path(name) / "model"
        return cls(InpaintPipeline.from_pretrained(inner if inner.is_dir() else name, **options))

    def save_pretrained(self, folder: str | Path, **_: Any) -> None:
        """Writes a folder that diffusers loads, and `from_pretrained` here. Raises OutputError."""
        folder = Path(folder)
        self.model.save_pretrained(folder / "model")
        index = {
            "_class_name": ["pipeline", "MaskmendInpaintPipeline"],
            "_diffusers_version": "0.27.0",  # the first that loads a pipeline from a local folder
            "model": ["maskmend_model", "InpaintPipeline"],
        }
        source = Path(__file__).with_name("diffusers_pipeline.py")
        write_files(
            {
                folder / "model" / "maskmend_model.py": COMPONENT.encode(),
                folder / "pipeline.py": source.read_bytes(),
                folder / "model_index.json": json_bytes(index),
            }
        )

    def to(self, *where: Any, **named: Any) -> "DiffusersInpaintPipeline":
        """Moves the model to a device; a dtype is ignored. Raises ConfigError."""
        for one in (*where, *named.values()):
            if isinstance(one, str | torch.device):
                self.model.to(one)
        return self

    @property
    def device(self) -> torch.device:
        return self.model.device

    def set_progress_bar_config(self, **_: Any) -> None:
        """Does nothing: there is no progress bar to configure."""

    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        image: Any = None,
        mask_image: Any = None,
        height: int | None = None,
        width: int | None = None,
        strength: float | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        num_images_per_prompt: int = 1,
        eta: float | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., Any] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = (),
        **settings: Any,
    ) -> Any:
        """Fills the white of `mask_image` in `image`; one of each, or lists, or batches.

        Args:
            prompt: text, for a model that takes prompts: one for all images.
            image: PIL image, array (H, W, 3) or (B, H, W, 3), uint8 or float in [0, 1], or float tensor
                (3, H, W) or (B, 3, H, W) in [0, 1], or in [-1, 1] where anything is below 0, as diffusers
                reads them.
            mask_image: of the image's size, or resized to it; from half grey on it is filled.
            num_inference_steps: decoding steps; the model's own number when None.
            guidance_scale: influence of the prompt, for a model that takes prompts.
            num_images_per_prompt: fills of each image.
            generator: seeds are drawn from it, one for each fill; or a list with one for each fill.
            output_type: "pil", "np" (B, H, W, 3) or "pt" (B, 3, H, W), floats in [0, 1].
            return_dict: False gives `(images,)`.
            callback_on_step_end: called with (pipeline, step from 0, step from 0, {}) after each step.
            settings: maskmend's own: temperature, seam, detail, ...

        Raises ImageError, MaskError, ConfigError.
        """
        if output_type not in ("pil", "np", "pt"):
            raise ConfigError(f"output_type = {output_type!r}: give pil, np or pt")
        if image is None or mask_image is None:
            raise ImageError("image and mask_image: give both")
        if self.model.prompts is not None and prompt:
            settings["prompt"], prompt = prompt_of(prompt), None
            if guidance_scale is not None:
                settings["guidance"], guidance_scale = guidance_scale, None
        unused = {
            "prompt": prompt, "negative_prompt": negative_prompt, "guidance_scale": guidance_scale,
            "eta": eta, "strength": strength, "height": height, "width": width,
        }  # fmt: skip
        named = [name for name, value in unused.items() if value]
        if named:
            warnings.warn(f"this model ignores {', '.join(named)}", stacklevel=2)
        if num_inference_steps is not None:
            settings["steps"] = num_inference_steps
        images = [one for one in listed(image) for _ in range(num_images_per_prompt)]
        masks = listed(mask_image, axes=3)
        masks = (
            masks * len(images)
            if len(masks) == 1
            else [m for m in masks for _ in range(num_images_per_prompt)]
        )
        results = self.model(
            [eight_bits(one) for one in images],
            [one if isinstance(one, Image.Image) else eight_bits(one) for one in masks],
            seed=drawn_seeds(generator, len(images)),
            fit_mask=True,
            mask_channel="luma",
            events=self._events(callback_on_step_end),
            **settings,
        )
        filled = packed(results, images, output_type)
        return self._output(filled) if return_dict else (filled,)

    def _output(self, images: Any) -> Any:
        return FillOutput(images)

    def _events(self, callback: Callable[..., Any] | None) -> FillEvents:
        if callback is None:
            return FillEvents()
        return FillEvents(on_step=lambda step: callback(self, step.index - 1, step.index - 1, {}))


def prompt_of(prompt: str | Sequence[str]) -> str:
    """The one prompt of a call. Raises ConfigError for several: a fill here has one for all of its images."""
    several = {prompt} if isinstance(prompt, str) else set(prompt)
    if len(several) > 1:
        raise ConfigError(f"{len(several)} different prompts: give one, and call once for each of them")
    return several.pop()


def listed(items: Any, axes: int = 4) -> list[Any]:
    """The items of a list or batch, or the single one; `axes` is the number of a batch's axes."""
    if isinstance(items, list | tuple):
        return list(items)
    if isinstance(items, np.ndarray | Tensor):
        return list(items) if items.ndim >= axes else [items]
    return [items]


def unit_floats(image: Any) -> np.ndarray | None:
    """A float array or tensor as (H, W, C) or (H, W) in [0, 1]; None of what has 8 bits."""
    if isinstance(image, Tensor) and image.is_floating_point():
        values = image.detach().float().cpu().numpy()
        values = np.moveaxis(values, 0, -1) if values.ndim == 3 else values
    elif isinstance(image, np.ndarray) and np.issubdtype(image.dtype, np.floating):
        values = image.astype(np.float32)
    else:
        return None
    return (values + 1) / 2 if values.size and values.min() < 0 else values


def eight_bits(image: Any) -> Any:
    """Floats as uint8; all else as it is."""
    values = unit_floats(image)
    if values is None:
        return image
    return np.clip(np.rint(np.nan_to_num(values) * 255), 0, 255).astype(np.uint8)


def drawn_seeds(generator: torch.Generator | Sequence[torch.Generator] | None, count: int) -> list[int]:
    """A seed for each of `count` fills. Without a generator PyTorch's global one is drawn from, as in
    diffusers."""
    if isinstance(generator, list | tuple):
        if len(generator) != count:
            raise ConfigError(f"{len(generator)} generators for {count} fills: give one, or one for each")
        return [drawn_seeds(one, 1)[0] for one in generator]
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ConfigError(
            f"generator is {type(generator).__name__}: give a torch.Generator, or a list of them"
        )
    device = "cpu" if generator is None else generator.device
    return torch.randint(SEEDS, (count,), generator=generator, device=device).tolist()


def packed(results: Sequence[Inpainted], images: Sequence[Any], output_type: str) -> Any:
    """The first picture of each result as `output_type`; known pixels of floats are those that came."""
    if output_type == "pil":
        return [result.images[0] for result in results]
    stack = []
    for result, image in zip(results, images, strict=True):
        values = result.pictures[0].pixels.astype(np.float32) / 255
        given = unit_floats(image)
        if given is not None and given.shape == values.shape:
            values = np.where(result.mask[:, :, None], values, given)
        stack.append(values)
    if len({values.shape for values in stack}) > 1:
        raise ImageError(f"output_type = {output_type!r}: the pictures differ in size, give pil")
    batch = np.stack(stack)
    return batch if output_type == "np" else torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()
