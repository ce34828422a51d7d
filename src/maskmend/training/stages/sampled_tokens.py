"""Tokens of holes sampled from a transformer, as inputs of a decoder in training.

    ParallelSampler    the masked part of the hole in one step, given the true tokens of the rest
    IterativeSampler   the whole hole in several steps, as in inference: none of its tokens is true

A decoder trained on true tokens only relies on them; in inference the tokens of a hole are sampled. Images
that are all hole, without a guess in it, give no condition to sample from and keep their true tokens.
"""

from typing import Protocol

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from maskmend.decoding.interface import decode
from maskmend.decoding.noise import gumbel
from maskmend.decoding.sampling import sample
from maskmend.inference.cached_transformer import InferenceTransformer
from maskmend.models.transformer import Hints, MaskedTransformer
from maskmend.seeds import MAX_SEED
from maskmend.settings import Settings
from maskmend.training.masking import Masks


class HoleTokenSampler(Protocol):
    def selected(self, masks: Masks) -> Bool[Tensor, "B N"]:
        """The tokens that `sample` replaces."""
        ...

    def sample(
        self, tokens: Int[Tensor, "B N"], masks: Masks, rows: Int[Tensor, "S"], hints: Hints, seed: int
    ) -> Int[Tensor, "B N"]:
        """`tokens` with the selected ones sampled; `rows` are their indices in the flattened batch."""
        ...


def _unconditional(masks: Masks) -> Bool[Tensor, "B 1"]:
    """Images without a condition to sample from: all hole, and no guess in it."""
    return masks.hole.all(1, keepdim=True) & ~masks.guessed[:, None]


class ParallelSampler:
    """Samples at a temperature; `bf16` computes in bfloat16."""

    def __init__(self, transformer: MaskedTransformer, temperature: float, *, bf16: bool) -> None:
        self.transformer, self.temperature, self.bf16 = transformer, temperature, bf16

    def selected(self, masks: Masks) -> Bool[Tensor, "B N"]:
        return masks.masked & ~_unconditional(masks)

    def sample(
        self, tokens: Int[Tensor, "B N"], masks: Masks, rows: Int[Tensor, "S"], hints: Hints, seed: int
    ) -> Int[Tensor, "B N"]:
        flat = tokens.flatten()
        inputs = flat.index_fill(0, rows, self.transformer.config.mask_id).view_as(tokens)
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.transformer(inputs, masks.hole, rows, hints).float()
        image, position = rows // tokens.shape[1], rows % tokens.shape[1]
        noise = gumbel(image + seed, 0, position, logits.shape[1])
        return flat.index_copy(0, rows, sample(logits, noise, temperature=self.temperature)).view_as(tokens)


class IterativeSampler:
    """Fills holes with `settings`; `bf16` casts the transformer."""

    def __init__(self, transformer: MaskedTransformer, settings: Settings, *, bf16: bool) -> None:
        self.transformer = InferenceTransformer(transformer, torch.bfloat16 if bf16 else None)
        self.settings = settings

    def selected(self, masks: Masks) -> Bool[Tensor, "B N"]:
        return masks.hole & ~_unconditional(masks)

    def sample(
        self, tokens: Int[Tensor, "B N"], masks: Masks, rows: Int[Tensor, "S"], hints: Hints, seed: int
    ) -> Int[Tensor, "B N"]:
        hole = self.selected(masks)
        return decode(
            self.transformer.predictor(tokens, hole, hints),
            tokens,
            hole,
            mask_id=self.transformer.model.config.mask_id,
            seeds=[(seed + number) % MAX_SEED for number in range(len(tokens))],
            **self.settings.decoding(),
        ).tokens
