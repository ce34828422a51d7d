"""Transformers with the picture's class as an additional token: Google's MaskGIT, and valeoai's.

    google     [class] + tokens ─► LN(embedding + position) ─► L post-norm blocks ─► head ─► logits
    valeoai    tokens + [class] ─► embedding + position ─► LN, two linear layers ─► L pre-norm blocks ─► head

Chang et al. 2022, "MaskGIT: Masked Generative Image Transformer", with BERT's post-norm blocks and the tanh
form of GELU; Besnier and Chen 2023, "A Pytorch Reproduction of Masked Generative Image Transformer", with
pre-norm blocks, a bias of the logits for each position, and a class for unconditional sampling.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskmend.errors import ConfigError
from maskmend.models.token_model import ConvertedConfig, TokenModel, check_heads, wanted_rows
from maskmend.models.transformer import Block, TransformerConfig

BERT_EPS = 1e-12


@dataclass(frozen=True, kw_only=True)
class ClassTokenConfig(ConvertedConfig):
    codes: int = 1024
    grid: int = 16
    dim: int = 768
    heads: int = 16
    layers: int = 24
    mlp: int = 3072
    labels: int = 1000
    """Classes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.dim, self.heads)


class GoogleConfig(ClassTokenConfig):
    @property
    def unconditional(self) -> bool:
        """It was never trained without a class."""
        return False


class ValeoaiConfig(ClassTokenConfig):
    @property
    def unconditional(self) -> bool:
        """One label in ten was dropped in training."""
        return True


def _blocks(config: ClassTokenConfig, norm: Any, eps: float) -> nn.ModuleList:
    about = TransformerConfig(
        codes=config.codes, grid=config.grid, dim=config.dim, heads=config.heads, layers=config.layers,
        mlp=config.mlp, norm=norm, norm_eps=eps, dropout=0.0,
    )  # fmt: skip
    return nn.ModuleList(Block(about) for _ in range(config.layers))


class GoogleMaskgit(TokenModel):
    """The published MaskGIT; every prediction needs a class."""

    architecture: ClassVar[str] = "maskgit"
    config: GoogleConfig

    def __init__(self, config: GoogleConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.token_embedding = nn.Embedding(config.codes + 1, dim)
        self.class_embedding = nn.Embedding(config.labels, dim)
        self.position_embedding = nn.Parameter(torch.zeros(config.grid**2 + 1, dim))
        self.embedding_norm = nn.LayerNorm(dim, eps=BERT_EPS)
        self.blocks = _blocks(config, "post", BERT_EPS)
        for block in self.blocks:
            block.mlp[1] = nn.GELU(approximate="tanh")  # type: ignore[index,union-attr]
        self.head = nn.Sequential(
            nn.Linear(dim, dim), nn.GELU(approximate="tanh"), nn.LayerNorm(dim, eps=BERT_EPS)
        )
        self.bias = nn.Parameter(torch.zeros(config.codes))

    def forward(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        wanted: Bool[Tensor, "B N"] | Int[Tensor, "S"] | None = None,
        hints: Any = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "S K"]:
        """As `TokenModel.forward`; `condition` holds the pictures' classes (B,)."""
        if condition is None:
            raise ConfigError("this model needs a class: give label, or label='auto'")
        first = self.class_embedding(condition)[:, None]
        x = torch.cat([first, self.token_embedding(tokens)], 1) + self.position_embedding
        x = self.embedding_norm(x)
        for block in self.blocks:
            x = block(x)
        x = wanted_rows(x[:, 1:], wanted)
        return F.linear(self.head(x), self.token_embedding.weight[: self.config.codes], self.bias)


class ValeoaiMaskgit(TokenModel):
    """The first reproduction in PyTorch (branch v1.0 of valeoai/Halton-MaskGIT)."""

    architecture: ClassVar[str] = "valeoai"
    config: ValeoaiConfig

    def __init__(self, config: ValeoaiConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.token_embedding = nn.Embedding(config.codes + 1, dim)
        self.class_embedding = nn.Embedding(config.labels + 1, dim)
        self.position_embedding = nn.Parameter(torch.zeros(config.grid**2 + 1, dim))
        self.proj_in = nn.Sequential(
            nn.LayerNorm(dim, eps=BERT_EPS),
            nn.Linear(dim, dim),
            nn.GELU(),
            nn.LayerNorm(dim, eps=BERT_EPS),
            nn.Linear(dim, dim),
        )
        self.blocks = _blocks(config, "pre", 1e-5)
        self.head = nn.Sequential(
            nn.LayerNorm(dim, eps=BERT_EPS),
            nn.Linear(dim, dim),
            nn.GELU(),
            nn.LayerNorm(dim, eps=BERT_EPS),
        )
        self.bias = nn.Parameter(torch.zeros(config.grid**2, config.codes))

    def forward(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        wanted: Bool[Tensor, "B N"] | Int[Tensor, "S"] | None = None,
        hints: Any = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "S K"]:
        """As `TokenModel.forward`; `condition` holds the pictures' classes (B,), None is no class."""
        if condition is None:
            condition = torch.full_like(tokens[:, 0], self.config.labels)
        last = self.class_embedding(condition)[:, None]
        x = self.proj_in(torch.cat([self.token_embedding(tokens), last], 1) + self.position_embedding)
        for block in self.blocks:
            x = block(x)
        places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        x, places = wanted_rows(x[:, :-1], wanted), wanted_rows(places[..., None], wanted)[:, 0]
        logits = F.linear(self.head(x), self.token_embedding.weight[: self.config.codes])
        return logits + self.bias[places]
