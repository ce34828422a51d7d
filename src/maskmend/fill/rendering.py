"""Pictures of token grids, decoded after the last or any other step.

tokens, region ─► decoder, conditioned on the known pixels ─► R x R picture ─► composited into the image
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from maskmend.errors import ConfigError
from maskmend.fill.crops import NOT_YET, Region, join
from maskmend.fill.result import Inpainted, checked_sample
from maskmend.images.tensors import to_uint8
from maskmend.models.known_encoder import KnownPixels
from maskmend.models.vqgan import VQGAN
from maskmend.seeds import whole


def known(regions: Sequence[Region], device: torch.device) -> KnownPixels:
    """The regions' pictures and masks as one batch, and where they hold guesses."""
    images, masks = zip(*((region.image, region.mask) for region in regions), strict=True)
    guesses = [region.mask & region.guess for region in regions]
    return KnownPixels(*(torch.cat(each).to(device) for each in (images, masks, guesses)))


@torch.inference_mode()
def decode_pictures(
    tokenizer: VQGAN, tokens: Int[Tensor, "S N"], regions: Sequence[Region] | None
) -> list[Float[np.ndarray, "R R 3"]]:
    """Decoded pictures in grey levels 0-255, not rounded; `regions` are what the model saw, one each.

    One by one: a convolution's last bits depend on how many go through it at once; a fill must not.
    """
    grid = tokenizer.config.grid
    images, seen, last = [], None, None
    for number, one in enumerate(tokens.view(-1, 1, grid, grid)):
        region = None if regions is None else regions[number]
        if region is not None and region is not last:  # samples of a picture share what is known of it
            seen, last = tokenizer.decoder.encode_known(known([region], tokens.device)), region
        images.append(tokenizer.decode(one, seen))
    drawn = (torch.cat(images) + 1) * 127.5
    return list(drawn.permute(0, 2, 3, 1).float().cpu().numpy())


def pictures(
    tokenizer: VQGAN, tokens: Int[np.ndarray, "S h w"], regions: Region | Sequence[Region] | None
) -> list[Image.Image]:
    """As `InpaintPipeline.draw_tokens`."""
    grid, side = tokenizer.config.grid, tokenizer.config.resolution
    count = tokens.shape[1] // grid
    grids = torch.from_numpy(tokens).reshape(len(tokens) * count, grid * grid)
    seen = [regions] if isinstance(regions, Region) else regions
    device = tokenizer.quantizer.codebook.device
    drawn = decode_pictures(tokenizer, grids.to(device), None if seen is None else [*seen] * len(tokens))
    stacked = np.stack(drawn).reshape(len(tokens), count * side, side, 3)
    return [Image.fromarray(picture) for picture in np.rint(stacked).clip(0, 255).astype(np.uint8)]


def step_picture(tokenizer: VQGAN, mask_id: int, result: Inpainted, step: int, sample: int) -> Image.Image:
    """As `InpaintPipeline.draw_step`."""
    fills = _step_fills(tokenizer, mask_id, result, step, sample)
    begun = result.regions[: len(fills)]
    return Image.fromarray(join(result.source, result.mask, begun, fills, result.settings.seam).pixels)


def step_candidate(tokenizer: VQGAN, mask_id: int, result: Inpainted, step: int, sample: int) -> Image.Image:
    """As `InpaintPipeline.draw_candidate`."""
    fills = _step_fills(tokenizer, mask_id, result, step, sample)
    parts = [np.rint(fill).clip(0, 255) for fill in fills]
    for region in result.regions[len(fills) :]:
        parts.append(np.where(region.mask[0, 0, :, :, None].numpy(), NOT_YET, to_uint8(region.image)))
    return Image.fromarray(np.concatenate(parts).astype(np.uint8))


def _step_fills(
    tokenizer: VQGAN, mask_id: int, result: Inpainted, step: int, sample: int
) -> list[Float[np.ndarray, "R R 3"]]:
    """What a step predicts for the first regions, up to the one it belongs to."""
    count, number = len(result.history), whole(step)
    if count == 0:
        raise ConfigError(
            f"step = {step!r}: nothing was predicted, so there is no step to draw, take `images`"
        )
    if number is None or not 1 <= number <= count:
        raise ConfigError(f"step = {step!r}: this fill took {count} steps, give 1 to {count}")
    sample = checked_sample(result, sample)
    candidates = result.history[number - 1].candidate[sample].view(len(result.regions), -1)
    begun = (candidates != mask_id).all(1)
    return decode_pictures(tokenizer, candidates[begun], result.regions[: int(begun.sum())])
