"""The tokens of holes as a decoder in training is given them: drawn by a transformer.

    HiddenDrawn   the hidden part of the hole at once, from the true tokens of the rest, which stay
    HoleFilled    all of the hole, step by step, as inference fills it: none is true

A decoder that has met true tokens trusts all of them too far: in use a hole has none. Pictures that are all
hole leave nothing to draw from, unless a guess fills them: their tokens stay.
"""

from typing import Protocol

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from maskmend.decoding.interface import decode
from maskmend.decoding.noise import gumbel
from maskmend.decoding.sampling import sample
from maskmend.inference.cached_transformer import ReadyTransformer
from maskmend.models.transformer import Hints, MaskedTransformer
from maskmend.seeds import MAX_SEED
from maskmend.settings import Settings
from maskmend.training.masking import Masks


class HoleTokens(Protocol):
    def chosen(self, masks: Masks) -> Bool[Tensor, "B N"]:
        """The tokens that are drawn."""
        ...

    def draw(
        self, tokens: Int[Tensor, "B N"], masks: Masks, rows: Int[Tensor, "S"], hints: Hints, seed: int
    ) -> Int[Tensor, "B N"]:
        """`tokens` with the chosen ones drawn; `rows` are their places in the flattened batch."""
        ...


def _without_context(masks: Masks) -> Bool[Tensor, "B 1"]:
    """Pictures that leave nothing to draw tokens from: all hole, and no guess in it."""
    return masks.hole.all(1, keepdim=True) & ~masks.guessed[:, None]


class HiddenDrawn:
    """Draws at a temperature; `bf16` computes in bfloat16."""

    def __init__(self, transformer: MaskedTransformer, temperature: float, *, bf16: bool) -> None:
        self.transformer, self.temperature, self.bf16 = transformer, temperature, bf16

    def chosen(self, masks: Masks) -> Bool[Tensor, "B N"]:
        return masks.hidden & ~_without_context(masks)

    def draw(
        self, tokens: Int[Tensor, "B N"], masks: Masks, rows: Int[Tensor, "S"], hints: Hints, seed: int
    ) -> Int[Tensor, "B N"]:
        flat = tokens.flatten()
        inputs = flat.index_fill(0, rows, self.transformer.config.mask_id).view_as(tokens)
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.transformer(inputs, masks.hole, rows, hints).float()
        picture, position = rows // tokens.shape[1], rows % tokens.shape[1]
        noise = gumbel(picture + seed, 0, position, logits.shape[1])
        return flat.index_copy(0, rows, sample(logits, noise, temperature=self.temperature)).view_as(tokens)


class HoleFilled:
    """Fills with `settings`; `bf16` casts the transformer."""

    def __init__(self, transformer: MaskedTransformer, settings: Settings, *, bf16: bool) -> None:
        self.ready = ReadyTransformer(transformer, torch.bfloat16 if bf16 else None)
        self.settings = settings

    def chosen(self, masks: Masks) -> Bool[Tensor, "B N"]:
        return masks.hole & ~_without_context(masks)

    def draw(
        self, tokens: Int[Tensor, "B N"], masks: Masks, rows: Int[Tensor, "S"], hints: Hints, seed: int
    ) -> Int[Tensor, "B N"]:
        hole = self.chosen(masks)
        return decode(
            self.ready.predictor(tokens, hole, hints),
            tokens,
            hole,
            mask_id=self.ready.model.config.mask_id,
            seeds=[(seed + number) % MAX_SEED for number in range(len(tokens))],
            **self.settings.decoding(),
        ).tokens
