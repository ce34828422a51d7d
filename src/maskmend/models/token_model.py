"""The interface of networks that predict tokens, of whatever architecture.

    tokens (B, N), `config.mask_id` where masked ─► forward ─► logits of the wanted tokens (S, codes)

`MaskedTransformer` is ours. Networks of other projects are separate classes with the same interface, so that
each forward pass can be compared with the original code, and the rest of the package works with all of them.
To add one: subclass `TokenModel`, give its configuration the fields of `TokenModelConfig`, and list it in
`models.architectures`.
"""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from maskmend.errors import ConfigError


@runtime_checkable
class TokenModelConfig(Protocol):
    """The interface of a token model's configuration; fields or properties of a frozen dataclass."""

    @property
    def codes(self) -> int:
        """Codes of the tokenizer: the columns of the logits."""
        ...

    @property
    def grid(self) -> int:
        """Tokens along a side of the picture."""
        ...

    @property
    def dim(self) -> int:
        """Width of a token; with it `precision = "auto"` chooses the number format."""
        ...

    @property
    def mask_id(self) -> int:
        """The mask token: always `codes`, whichever number it has in the published weights."""
        ...

    @property
    def guesses(self) -> bool:
        """Whether it was trained to refine a coarser fill (`TransformerConfig.guesses`)."""
        ...

    @property
    def labels(self) -> int:
        """Classes it can be conditioned on, numbered from 0; 0 for a model without classes."""
        ...

    @property
    def unconditional(self) -> bool:
        """Whether it was trained without a condition too, so that `condition = None` is a prediction: with a
        label dropped, an empty prompt, or no condition at all."""
        ...


@dataclass(frozen=True, kw_only=True)
class ConvertedConfig:
    """What the configurations of other projects' networks have in common.

    Raises ConfigError for a field of type int that is below 1, but for those named in `MAY_BE_ZERO`.
    """

    MAY_BE_ZERO: ClassVar[tuple[str, ...]] = ()
    codes: int
    """Codes of the tokenizer; the mask token is one more."""
    grid: int
    """Tokens along a side of the picture."""
    dim: int
    """Width of a token."""
    heads: int
    """Attention heads, a divisor of `dim` unless the network says otherwise."""
    layers: int
    """Blocks of attention and feed-forward."""
    mlp: int
    """Hidden width of the feed-forward part."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in self.MAY_BE_ZERO else 1
            if field.type is int and value < least:
                raise ConfigError(f"{field.name} = {value}: choose at least {least}")

    @property
    def mask_id(self) -> int:
        """The mask token."""
        return self.codes

    @property
    def guesses(self) -> bool:
        """It was not trained to refine a coarser fill."""
        return False


def check_heads(dim: int, heads: int, prefix: str = "") -> None:
    """Raises ConfigError where the heads do not divide the width."""
    if dim % heads:
        raise ConfigError(f"{prefix}heads = {heads} does not divide {prefix}dim = {dim}: choose a divisor")


class TokenModel(nn.Module):
    """Predicts masked tokens from visible ones.

    A module without buffers that a file does not hold: it is built on the meta device and given its weights.
    """

    architecture: ClassVar[str]
    """Its name in `config.json`, and in `models.architectures`."""
    config: Any
    """A `TokenModelConfig`."""

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        wanted: Bool[Tensor, "B N"] | Int[Tensor, "S"] | None = None,
        hints: Any = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "S K"]:
        """Logits of the `wanted` tokens (all when None), one row each in row-major order.

        Args:
            tokens: codes, `config.mask_id` where masked.
            hole: tokens that are to be filled, whether still masked or filled already.
            wanted: tokens whose logits are returned: a mask, or their indices in the flattened batch.
            hints: for a model that was trained with them; ignored by others.
            condition: of each picture: its class (B,) for a model with `config.labels`, or whatever else its
                class says; None for a prediction without one, where `config.unconditional`.
        """
        raise NotImplementedError


def wanted_rows(
    x: Shaped[Tensor, "B N D"], wanted: Bool[Tensor, "B N"] | Int[Tensor, "S"] | None
) -> Shaped[Tensor, "S D"]:
    """The rows of `x` whose logits are wanted, in the order of `TokenModel.forward`."""
    x = x.flatten(0, 1)
    if wanted is None:
        return x
    rows = wanted.flatten().nonzero()[:, 0] if wanted.dtype == torch.bool else wanted
    return x.index_select(0, rows)
