"""Decoding with a network that cannot cache: each step is one pass over all tokens.

With full attention, known tokens attend to the hole, so keys and values change in every step. Two things are
still saved: the first step, where the whole hole is masked, is shared by all samples of a picture, and logits
are computed for masked tokens only. With guidance a step takes two passes.
"""

import copy
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskmend.inference.cached_transformer import InferenceTransformer
from maskmend.models.token_model import TokenModel
from maskmend.models.transformer import Hints, MaskedTransformer


def ready(model: TokenModel, dtype: torch.dtype | None = None) -> "InferenceTransformer | FullPass":
    """`model` made ready for decoding in one number format (None: its own)."""
    if isinstance(model, MaskedTransformer):
        return InferenceTransformer(model, dtype)
    return FullPass(model, dtype)


class FullPass:
    """A token model made ready for decoding in one number format (None: its own)."""

    def __init__(self, model: TokenModel, dtype: torch.dtype | None = None) -> None:
        self.model = model if dtype is None or model.dtype == dtype else _in_format(model, dtype)

    def predictor(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        hints: Hints | None = None,
        samples: int = 1,
        condition: Tensor | None = None,
        guidance: float = 1.0,
    ) -> "FullPassPredictor":
        """The `predict` of `decode`, for `samples` consecutive fills of each picture.

        Args:
            condition: of each picture, as `TokenModel.forward` takes it.
            guidance: s of classifier-free guidance, u + s (c - u) with the logits c under the condition and
                u without; 1 is none, and takes one pass.
        """
        return FullPassPredictor(self.model, hole, hints, samples, condition, guidance)


def _in_format(model: TokenModel, dtype: torch.dtype) -> TokenModel:
    """A copy of the model in another number format, made without one in its own: of 600 million weights that
    would be 2.4 GB for a moment."""
    copies: dict[int, Any] = {}  # what `deepcopy` takes instead of copying
    for value in (*model.parameters(), *model.buffers()):
        narrow = value.detach().to(dtype) if value.is_floating_point() else value.detach().clone()
        is_weight = isinstance(value, nn.Parameter)
        copies[id(value)] = nn.Parameter(narrow, requires_grad=value.requires_grad) if is_weight else narrow
    return copy.deepcopy(model, copies)


class FullPassPredictor:
    """Logits of the masked tokens, step by step, for one batch of pictures."""

    def __init__(
        self,
        model: TokenModel,
        hole: Bool[Tensor, "B N"],
        hints: Hints | None,
        samples: int,
        condition: Tensor | None,
        guidance: float,
    ) -> None:
        self.model, self.hole, self.samples, self.guidance = model, hole, samples, guidance
        self.hints, self.condition = hints, condition

    @torch.inference_mode()
    def __call__(self, tokens: Int[Tensor, "B N"], masked: Bool[Tensor, "B N"]) -> Float[Tensor, "S K"]:
        """Logits of the `masked` tokens, which lie within the hole."""
        again = torch.arange(len(self.hole), device=tokens.device).repeat_interleave(self.samples)
        if torch.equal(masked, self.hole[again]):
            first = [self._logits(tokens[n : n + 1], masked[n : n + 1], again[n : n + 1])
                     for n in range(0, len(tokens), self.samples)]  # fmt: skip
            return torch.cat([logits for logits in first for _ in range(self.samples)])
        # On a CPU one by one: the last bits of a product depend on how many rows it has; a fill must not.
        at_once = 1 if tokens.device.type == "cpu" else len(tokens)
        parts = zip(tokens.split(at_once), masked.split(at_once), again.split(at_once), strict=True)
        return torch.cat([self._logits(*part) for part in parts])

    def _logits(self, tokens: Tensor, masked: Tensor, pictures: Int[Tensor, "B"]) -> Float[Tensor, "S K"]:
        hole = self.hole[pictures]
        hints = None if self.hints is None else self.hints.at(pictures)
        condition = None if self.condition is None else self.condition[pictures]
        logits = self.model(tokens, hole, masked, hints, condition).float()
        if condition is None or self.guidance == 1:
            return logits
        free = self.model(tokens, hole, masked, hints, None).float()
        return free + self.guidance * (logits - free)
