"""The tokens of holes as a decoder in training is given them: drawn by a transformer, not the true ones.

    part of the hole   hidden ones drawn at once, from the true tokens of the rest, which stay (steps = 0)
    all of the hole    filled in so many steps, as inference fills it: none is true

A decoder that has met true tokens trusts all of them too far: in use a hole has none.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from maskmend.choice import choose
from maskmend.context import ReadyTransformer
from maskmend.decoding import decode
from maskmend.noise import gumbel
from maskmend.seeds import MAX_SEED
from maskmend.settings import Settings
from maskmend.training.masking import Masks
from maskmend.transformer import Hints, MaskedTransformer


class HoleTokens:
    """Draws the tokens of holes by a trained transformer.

    Args:
        temperature: of the draws.
        steps: in which a hole is filled; 0 draws the hidden tokens of it at once.
        bf16: compute in bfloat16.
    """

    def __init__(self, transformer: MaskedTransformer, temperature: float, steps: int, bf16: bool) -> None:
        self.transformer, self.temperature, self.bf16 = transformer, temperature, bf16
        self.ready = self.settings = None
        if steps:
            self.ready = ReadyTransformer(transformer, torch.bfloat16 if bf16 else None)
            self.settings = Settings(steps=steps, temperature=temperature)

    def chosen(self, masks: Masks) -> Bool[Tensor, "B N"]:
        """The tokens that are drawn, none of pictures that are all hole: those leave nothing to draw from."""
        return (masks.hidden if self.ready is None else masks.hole) & ~masks.hole.all(1, keepdim=True)

    def __call__(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        chosen: Bool[Tensor, "B N"],
        rows: Int[Tensor, "S"],
        hints: Hints,
        seed: int,
    ) -> Int[Tensor, "B N"]:
        """`tokens` with the chosen ones drawn; `rows` are those of the flattened batch."""
        if self.ready is not None and self.settings is not None:
            return decode(
                self.ready.predictor(tokens, chosen, hints),
                tokens,
                chosen,
                mask_id=self.transformer.config.mask_id,
                seeds=[(seed + number) % MAX_SEED for number in range(len(tokens))],
                **self.settings.decoding(),
            ).tokens
        flat = tokens.flatten()
        inputs = flat.index_fill(0, rows, self.transformer.config.mask_id).view_as(tokens)
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.transformer(inputs, hole, rows, hints).float()
        picture, position = rows // tokens.shape[1], rows % tokens.shape[1]
        noise = gumbel(picture + seed, 0, position, logits.shape[1])
        return flat.index_copy(0, rows, choose(logits, noise, temperature=self.temperature)).view_as(tokens)
