"""ComfyUI's tensors at the border to maskmend's pictures, and back.

An IMAGE is float32 (B, H, W, C), C 3 or 4, black 0 and white 1; a MASK is float32 (B, H, W) or (H, W), 1
where something is to be done. Either may be one for all of the other. maskmend works on 8 bits a channel; a
known pixel comes back as the float that it was, not as its 8-bit value.
"""

import numpy as np
import torch
from torch import Tensor

from maskmend.errors import ImageError, MaskError


def levels(values: Tensor) -> np.ndarray:
    """Floats in [0, 1] as uint8; what lies beyond is cut off, as ComfyUI does when it saves a picture."""
    return (values.detach().float().cpu().nan_to_num() * 255).round().clamp(0, 255).byte().numpy()


def check_image(image: Tensor, name: str = "image") -> Tensor:
    """Raises ImageError for what is no IMAGE."""
    if image.ndim != 4 or image.shape[3] not in (3, 4) or image.shape[0] == 0:
        raise ImageError(
            f"{name} has shape {tuple(image.shape)}: give an IMAGE, (batch, height, width, 3 or 4 channels)"
        )
    return image


def check_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A MASK with its batch axis; raises MaskError for what is none.

    "Load Image" gives an empty mask of 64 x 64 for every picture without transparency: an empty one fits any
    size.
    """
    batch = mask[None] if mask.ndim == 2 else mask
    if batch.ndim != 3 or batch.shape[0] == 0:
        raise MaskError(f"mask has shape {tuple(mask.shape)}: give a MASK, (batch, height, width)")
    return batch if batch.any() else batch.new_zeros(batch.shape[0], *size)


def together(**batches: Tensor) -> dict[str, Tensor]:
    """Batches of the same length: one of a single item is repeated. Raises ImageError for other lengths."""
    lengths = {name: len(batch) for name, batch in batches.items()}
    most = max(lengths.values())
    wrong = [f"{length} in {name}" for name, length in lengths.items() if length not in (1, most)]
    if wrong:
        raise ImageError(
            f"{' and '.join(wrong)} against {most} in another input: give as many, or one for all of them"
        )
    return {
        name: batch.expand(most, *batch.shape[1:]) if len(batch) == 1 else batch
        for name, batch in batches.items()
    }


def with_fill(image: Tensor, fill: np.ndarray, hole: np.ndarray) -> Tensor:
    """One `image` (H, W, C) with the 8-bit `fill` (H, W, 3), opaque, in its `hole`; all else as it is."""
    drawn = torch.ones_like(image)
    drawn[:, :, :3] = torch.from_numpy(fill).to(image) / 255
    return torch.where(torch.from_numpy(hole)[:, :, None].to(image.device), drawn, image)
