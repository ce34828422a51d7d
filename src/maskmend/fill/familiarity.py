"""How unlike a picture is the training data, how uncertain its fill, and the note on the fill that says so.

A model folder may contain what the model learnt and the limits measured by `maskmend calibrate` (`Domain`):

- of the picture's distance from the training data, a high percentile over pictures of the model's domain.
  The distance is that of the `texture` of what the model sees. Folders calibrated earlier have no texture;
  for them it is the mean quantization distance of the known tokens:

      d(picture) = mean over its known tokens of |z - e|^2    z the encoder's latent, e its nearest code

- of the hole's uncertainty, a high percentile over holes like those of removed objects:

      u(hole) = sum over its pixels of the first prediction's entropy / pixels of the square around it

  It grows with the share of its surroundings that the hole takes up, and less in plain ones. The entropy
  alone tells how rough the surroundings are, but not how good the fill is.

Above a limit the fill gets a note. A small known part is not enough to judge by (the background of a cat's
portrait is like any garden): if less than `LEAST` of the view is known, there is no distance, and the note
says that the model has little to go by. All this takes hardly any time and changes no picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskmend.errors import ConfigError
from maskmend.fill.crops import Region
from maskmend.fill.result import Inpainted, joined_notes
from maskmend.fill.texture import Texture, texture_of
from maskmend.fill.windows import USUAL, square_around
from maskmend.images.tensors import to_uint8

LEAST = 0.25
"""Minimum share of known tokens, or pixels, in what the model sees."""
UNCERTAIN = "the hole is wide and its surroundings tell little about it: much is invented there, look closely"
LONGEST = 80
"""Maximum length of the description of the training data, which is part of a one-line note."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What a model learnt; `maskmend calibrate` measures it."""

    learnt: str
    """Its name, in the plural, as used in a sentence: "cat faces"."""
    distance: float
    """The distance beyond which a picture is unlike that: from `texture`, or without one the quantization
    distance."""
    texture: Texture | None = None
    """The usual texture of such pictures."""
    uncertainty: float | None = None
    """The uncertainty of a hole, as `hole_uncertainty` has it, beyond which its content is a guess."""

    def __post_init__(self) -> None:
        if not self.learnt.strip() or not self.learnt.isprintable() or len(self.learnt) > LONGEST:
            raise ConfigError(
                f"learnt = {self.learnt[: LONGEST + 1]!r}: name what the model learnt in one line of 1 to "
                f"{LONGEST} characters, such as 'cat faces'"
            )
        if not 0 < self.distance < math.inf:
            raise ConfigError(f"distance = {self.distance}: give a finite number above 0")
        if self.uncertainty is not None and not 0 < self.uncertainty < math.inf:
            raise ConfigError(f"uncertainty = {self.uncertainty}: give a finite number above 0")


def quantization_distance(
    distances: Sequence[Float[Tensor, "N"]], holes: Sequence[Bool[Tensor, "N"]]
) -> float | None:
    """Mean of the tokens' squared `distances` from their codes, over those that are known.

    One tensor for each region of a picture; in `holes` True marks the tokens that are not known. None where
    fewer than `LEAST` of the tokens are known.
    """
    hole = torch.cat(list(holes))
    known = torch.cat(list(distances))[~hole]
    return float(known.double().mean()) if len(known) >= LEAST * len(hole) else None


def texture_distance(regions: Sequence[Region], usual: Texture) -> float | None:
    """How far the texture of what is known in the regions is from the usual one.

    None where fewer than `LEAST` of the pixels are known.
    """
    views = [(to_uint8(region.image), ~region.mask[0, 0].numpy()) for region in regions]
    if sum(int(known.sum()) for _, known in views) < LEAST * sum(known.size for _, known in views):
        return None
    texture = texture_of(views)
    return None if texture is None else usual.distance(texture)


def hole_uncertainty(result: Inpainted) -> float:
    """How much there is to invent: nats for each pixel of the square around a hole, of the widest hole.

    The square is what a single window would show, also where the hole is filled through several.
    """
    most = 0.0
    for part in {region.window.part for region in result.regions}:
        side = result.regions[0].image.shape[-1]
        around = square_around(part, result.mask.shape, context=USUAL, minimum=side)
        total = float(result.uncertainty[part.slices].sum(dtype=np.float64))
        most = max(most, total / (around.height * around.width))
    return most


def with_familiarity(result: Inpainted, distance: float | None, domain: Domain | None) -> Inpainted:
    """`result`, of a hole that was filled, with `unfamiliar`, and a note if needed.

    `distance` is the picture's, of the kind that the domain has a limit for. For a model without a domain,
    the only possible note is that there was little to go by.
    """
    learnt = "" if domain is None else f" ({domain.learnt})"
    unfamiliar = None if domain is None or distance is None else distance / domain.distance
    share = _known_share(result)
    if share < LEAST:
        amount = "little" if share > 0 else "nothing"
        shows = f"the fill shows what the model learnt{learnt}"
        note = f"the mask leaves {amount} of the picture to go by: {shows}"
    else:
        unlike = uncertain = None
        if unfamiliar is not None and unfamiliar > 1:
            unlike = (
                f"this picture is unlike what the model learnt{learnt}: expect the fill to look like them"
            )
        limit = None if domain is None else domain.uncertainty
        if limit is not None and hole_uncertainty(result) > limit:
            uncertain = UNCERTAIN
        note = joined_notes(unlike, uncertain)
    return replace(result, unfamiliar=unfamiliar, note=note)


def _known_share(result: Inpainted) -> float:
    """The share of known pixels in what the model saw of the picture."""
    seen = [result.mask[region.box.slices] for region in result.regions]
    return 1 - sum(int(mask.sum()) for mask in seen) / sum(mask.size for mask in seen)
