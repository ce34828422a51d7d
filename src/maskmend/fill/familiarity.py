"""How unlike a picture is the training data, and the note on the fill of an unfamiliar one.

    d(picture) = mean over its known tokens of |z - e|^2        z the encoder's latent, e its nearest code

The codebook was fitted to latents of the training pictures, so other pictures have larger distances. A model
folder may contain a limit, a high percentile of d over pictures of the model's domain (`Domain`); above it
the fill gets a note. A few known tokens are not enough to judge by (the background of a cat's portrait is
like any garden): if less than `LEAST` of the tokens are known, there is no such note, and if less than
`LEAST` of the pixels are, the note says that the model has little to go by. The latents are computed for the
fill anyway, so this takes hardly any time. It changes no picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from maskmend.errors import ConfigError
from maskmend.fill.result import Inpainted

LEAST = 0.25
"""Minimum share of known tokens, or pixels, in what the model sees."""
LONGEST = 80
"""Maximum length of the description of the training data, which is part of a one-line note."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What a model learnt; `maskmend calibrate` measures it."""

    learnt: str
    """Its name, in the plural, as a sentence would have it: "cat faces"."""
    distance: float
    """The quantization distance, as `quantization_distance` has it, beyond which a picture is unlike that."""

    def __post_init__(self) -> None:
        if not self.learnt.strip() or not self.learnt.isprintable() or len(self.learnt) > LONGEST:
            raise ConfigError(
                f"learnt = {self.learnt[: LONGEST + 1]!r}: name what the model learnt in one line of 1 to "
                f"{LONGEST} characters, such as 'cat faces'"
            )
        if not 0 < self.distance < math.inf:
            raise ConfigError(f"distance = {self.distance}: give a finite number above 0")


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


def with_familiarity(result: Inpainted, distance: float | None, domain: Domain | None) -> Inpainted:
    """`result`, of a hole that was filled, with `unfamiliar`, and a note if needed.

    `distance` is the picture's `quantization_distance`. For a model without a domain, the only possible note
    is that there was little to go by.
    """
    learnt = "" if domain is None else f" ({domain.learnt})"
    unfamiliar = None if domain is None or distance is None else distance / domain.distance
    share = _known_share(result)
    note = None
    if share < LEAST:
        amount = "little" if share > 0 else "nothing"
        shows = f"the fill shows what the model learnt{learnt}"
        note = f"the mask leaves {amount} of the picture to go by: {shows}"
    elif unfamiliar is not None and unfamiliar > 1:
        note = f"this picture is unlike what the model learnt{learnt}: expect the fill to look like them"
    return replace(result, unfamiliar=unfamiliar, note=note)


def _known_share(result: Inpainted) -> float:
    """The share of known pixels in what the model saw of the picture."""
    seen = [result.mask[region.box.slices] for region in result.regions]
    return 1 - sum(int(mask.sum()) for mask in seen) / sum(mask.size for mask in seen)
