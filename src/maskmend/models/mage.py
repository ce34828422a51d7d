"""MAGE's two stacks of pre-norm blocks (Li et al. 2023, "MAGE: MAsked Generative Encoder").

    [class] + tokens ─► LN(embedding + position) ─► encoder ─► LN ─► linear
        masked positions replaced by the encoded class token ─► + position ─► decoder ─► LN ─► tied head

The class token is a constant row of the embedding, number 1100 of the published table: the model was trained
without labels. As in the authors' sampler, the encoder gets masked tokens as the mask's embedding; its
outputs at these positions are not used.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskmend.models.token_model import ConvertedConfig, TokenModel, check_heads, wanted_rows
from maskmend.models.transformer import Block, TransformerConfig


@dataclass(frozen=True, kw_only=True)
class MageConfig(ConvertedConfig):
    """`dim`, `heads`, `layers` and `mlp` are those of the encoder; `dim` is also the tied embedding's."""

    codes: int = 1024
    grid: int = 16
    dim: int = 768
    heads: int = 12
    layers: int = 12
    mlp: int = 3072
    decoder_dim: int = 768
    """Width of a token in the decoder."""
    decoder_heads: int = 16
    """Attention heads of the decoder, a divisor of `decoder_dim`."""
    decoder_layers: int = 8
    """Blocks of the decoder."""
    decoder_mlp: int = 3072
    """Hidden width of the decoder's feed-forward part."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.dim, self.heads)
        check_heads(self.decoder_dim, self.decoder_heads, "decoder_")

    @property
    def labels(self) -> int:
        """0: the model has no classes."""
        return 0

    @property
    def unconditional(self) -> bool:
        """True: the model has no classes."""
        return True

    def stack(self, decoder: bool) -> TransformerConfig:
        """The configuration of the blocks of one stack."""
        return TransformerConfig(
            codes=self.codes,
            grid=self.grid,
            dim=self.decoder_dim if decoder else self.dim,
            heads=self.decoder_heads if decoder else self.heads,
            layers=self.decoder_layers if decoder else self.layers,
            mlp=self.decoder_mlp if decoder else self.mlp,
            norm="pre",
            dropout=0.0,
            norm_eps=1e-6,
        )


class Mage(TokenModel):
    """Encoder and decoder over the class token and the picture's tokens."""

    architecture: ClassVar[str] = "mage"
    config: MageConfig

    def __init__(self, config: MageConfig) -> None:
        super().__init__()
        self.config = config
        first, second = config.stack(decoder=False), config.stack(decoder=True)
        length = config.grid**2 + 1
        self.token_embedding = nn.Embedding(config.codes + 1, first.dim)
        self.class_embedding = nn.Parameter(torch.zeros(first.dim))
        self.position_embedding = nn.Parameter(torch.zeros(length, first.dim))
        self.embedding_norm = nn.LayerNorm(first.dim, eps=1e-6)
        self.blocks = nn.ModuleList(Block(first) for _ in range(first.layers))
        self.norm = nn.LayerNorm(first.dim, eps=1e-6)
        self.narrow = nn.Linear(first.dim, second.dim)
        self.decoder_positions = nn.Parameter(torch.zeros(length, second.dim))
        self.decoder_blocks = nn.ModuleList(Block(second) for _ in range(second.layers))
        self.decoder_norm = nn.LayerNorm(second.dim, eps=1e-6)
        self.head = nn.Sequential(nn.Linear(second.dim, first.dim), nn.GELU(), nn.LayerNorm(first.dim))
        self.bias = nn.Parameter(torch.zeros(config.codes))

    def forward(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        wanted: Bool[Tensor, "B N"] | Int[Tensor, "S"] | None = None,
        hints: Any = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "S K"]:
        """As `TokenModel.forward`; `hole`, `hints` and `condition` are ignored."""
        words = self.token_embedding(tokens)
        first = self.class_embedding.expand(len(tokens), 1, -1)
        x = self.embedding_norm(torch.cat([first, words], 1) + self.position_embedding)
        for block in self.blocks:
            x = block(x)
        x = self.narrow(self.norm(x))
        masked = F.pad(tokens == self.config.mask_id, (1, 0))[..., None]
        x = torch.where(masked, x[:, :1], x) + self.decoder_positions
        for block in self.decoder_blocks:
            x = block(x)
        x = wanted_rows(x[:, 1:], wanted)
        codes = self.token_embedding.weight[: self.config.codes]
        return F.linear(self.head(self.decoder_norm(x)), codes, self.bias)
