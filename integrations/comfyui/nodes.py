"""The nodes: load a model, fill a mask, extend a picture, fill from rough colours.

Every fill has two outputs: the pictures, and as a MASK how uncertain the model was of each pixel (0 sure or
known, 1 as if all codes were equally likely). Picture number i of a batch is filled with seed + i.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskmend import InpaintPipeline
from maskmend.errors import MaskError

from .hooks import device_for, fill_events
from .tensors import check_image, check_mask, levels, together, with_fill

MAX_SEED = 2**53 - 1
"""The largest integer that the page's JavaScript represents exactly."""

MODEL = ("MASKMEND_MODEL",)
SETTINGS = {
    "seed": ("INT", {"default": 0, "min": 0, "max": MAX_SEED, "control_after_generate": True}),
    "steps": ("INT", {"default": 0, "min": 0, "max": 64, "tooltip": "Decoding steps; 0: the model's own."}),
    "temperature": (
        "FLOAT",
        {"default": -1.0, "min": -1.0, "max": 4.0, "step": 0.05,
         "tooltip": "Below 1 safer, above 1 more varied; below 0: the model's own."},
    ),
}  # fmt: skip
SIDES = ("left", "right", "top", "bottom")


class LoadModel:
    CATEGORY, FUNCTION = "maskmend", "load"
    DESCRIPTION = "Loads a maskmend model."
    RETURN_TYPES, RETURN_NAMES = MODEL, ("model",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        about = "default, photo, cats64, a model folder, or a hub id such as owner/name."
        return {
            "required": {
                "name": ("STRING", {"default": "default", "tooltip": about}),
                "device": (["auto", "cpu"], {"tooltip": "auto: the one that ComfyUI computes on."}),
            }
        }

    def load(self, name: str, device: str = "auto") -> tuple[InpaintPipeline]:
        return (InpaintPipeline.from_pretrained(name.strip(), device=device_for(device)),)


class Fill:
    """What the nodes that fill have in common."""

    CATEGORY, FUNCTION = "maskmend", "fill"
    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "MASK"), ("image", "uncertainty")


class Inpaint(Fill):
    DESCRIPTION = "Fills what the mask covers; every other pixel stays exactly as it is."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": MODEL, "image": ("IMAGE",), "mask": ("MASK",)} | SETTINGS}

    def fill(
        self, model: InpaintPipeline, image: Tensor, mask: Tensor, **settings: Any
    ) -> tuple[Tensor, Tensor]:
        mask = check_mask(mask, tuple(check_image(image).shape[1:3]))
        return filled(model, settings, image=image, mask=mask)


class Outpaint(Fill):
    DESCRIPTION = (
        "Makes new canvas beside the picture and fills it, and what the mask covers if there is one."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        sides = {side: ("INT", {"default": 0, "min": 0, "max": 8192, "step": 8}) for side in SIDES}
        required = {"model": MODEL, "image": ("IMAGE",)} | sides | SETTINGS
        return {"required": required, "optional": {"mask": ("MASK",)}}

    def fill(
        self, model: InpaintPipeline, image: Tensor, mask: Tensor | None = None, **settings: Any
    ) -> tuple[Tensor, Tensor]:
        extend = {side: settings.pop(side, 0) for side in SIDES}
        size = tuple(check_image(image).shape[1:3])
        mask = image.new_zeros(1, *size) if mask is None else check_mask(mask, size)
        if not any(extend.values()):
            return filled(model, settings, image=image, mask=mask)
        return filled(model, settings, extend, image=image, mask=mask)


class GuidedFill(Fill):
    DESCRIPTION = "Fills what the mask covers, from rough colours painted there."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        about = "Of the picture's size; an RGBA one counts where it is opaque."
        strength = {
            "default": 1.0,
            "min": 0.0,
            "max": 1.0,
            "step": 0.05,
            "tooltip": "How far the colours count.",
        }
        required = {"model": MODEL, "image": ("IMAGE",), "mask": ("MASK",)}
        required |= {"guide": ("IMAGE", {"tooltip": about}), "strength": ("FLOAT", strength)}
        return {
            "required": required | SETTINGS,
            "optional": {"guide_mask": ("MASK", {"tooltip": "Where it counts."})},
        }

    def fill(
        self,
        model: InpaintPipeline,
        image: Tensor,
        mask: Tensor,
        guide: Tensor,
        strength: float = 1.0,
        guide_mask: Tensor | None = None,
        **settings: Any,
    ) -> tuple[Tensor, Tensor]:
        size = tuple(check_image(image).shape[1:3])
        batches = {"image": image, "mask": check_mask(mask, size), "guide": check_image(guide, "guide")}
        if guide_mask is not None:
            of_guide = tuple(batches["guide"].shape[1:3])
            batches["guide_mask"] = check_mask(guide_mask, of_guide)
            if (given := tuple(batches["guide_mask"].shape[1:])) != of_guide:
                raise MaskError(
                    f"guide_mask is {given[1]} x {given[0]}, the guide {of_guide[1]} x {of_guide[0]}: "
                    "scale one of them to the other"
                )
        return filled(model, settings | {"guide_strength": strength}, **batches)


def filled(
    model: InpaintPipeline, settings: dict[str, Any], extend: dict[str, int] | None = None, **batches: Tensor
) -> tuple[Tensor, Tensor]:
    """The pictures of `batches` (image, mask, and guide and guide_mask if there are) filled, and the
    uncertainty."""
    batches = together(**batches)
    images = batches["image"]
    chosen = {name: value for name, value in settings.items() if name not in ("seed", "steps", "temperature")}
    if (steps := settings.get("steps", 0)) > 0:
        chosen["steps"] = steps
    if (temperature := settings.get("temperature", -1.0)) >= 0:
        chosen["temperature"] = temperature
    results = model(
        list(levels(images)),
        list(levels(batches["mask"])),
        guide=_guides(batches),
        extend=extend,
        seed=[settings.get("seed", 0) + number for number in range(len(images))],
        mask_photo_check="off",  # inputs have types here: no picture comes in as a mask
        events=fill_events(chosen.get("steps", model.defaults.steps)),
        **chosen,
    )
    most = math.log(model.transformer.config.codes)
    pictures = [
        with_fill(_on_canvas(image, extend, result.mask.shape), result.pictures[0].pixels, result.mask)
        for image, result in zip(images, results, strict=True)
    ]
    uncertainty = [torch.from_numpy(result.uncertainty / most).float() for result in results]
    return torch.stack(pictures), torch.stack(uncertainty)


def _guides(batches: dict[str, Tensor]) -> list[np.ndarray] | None:
    """Guides as 8-bit RGBA."""
    if "guide" not in batches:
        return None
    guide = batches["guide"]
    alpha = guide[:, :, :, 3] if guide.shape[3] == 4 else torch.ones_like(guide[:, :, :, 0])
    if "guide_mask" in batches:
        alpha = alpha * batches["guide_mask"].to(alpha)
    return list(levels(torch.cat([guide[:, :, :, :3], alpha[:, :, :, None]], dim=3)))


def _on_canvas(image: Tensor, extend: dict[str, int] | None, size: tuple[int, ...]) -> Tensor:
    """One image (H, W, C) on its new canvas."""
    if extend is None:
        return image
    canvas = image.new_zeros(*size, image.shape[2])
    top, left = extend["top"], extend["left"]
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas


NODE_CLASS_MAPPINGS = {
    "MaskmendLoadModel": LoadModel,
    "MaskmendInpaint": Inpaint,
    "MaskmendOutpaint": Outpaint,
    "MaskmendGuidedFill": GuidedFill,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "MaskmendLoadModel": "Load maskmend model",
    "MaskmendInpaint": "Inpaint (maskmend)",
    "MaskmendOutpaint": "Outpaint (maskmend)",
    "MaskmendGuidedFill": "Guided fill (maskmend)",
}
