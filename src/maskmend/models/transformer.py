"""The bidirectional transformer of masked visual token modelling (MaskGIT, Chang et al. 2022).

    tokens (B, N), `mask_id` where hidden ─► embedding + position (+ hole mark) ─► L blocks ─► logits

Two attention patterns share one layout of weights. `full`: every token attends to every token. `context`:
known tokens attend to known tokens only, tokens of the hole (hidden or already filled) attend to all. Under
`context` the known tokens' keys and values are the same in every decoding step: `inference` computes them
once for an image, and each step costs the hole's tokens only. Logits are computed for hidden tokens alone.

What we do differently: `hints`. A hidden token need not be a blank. The picture whose hole was filled in
smoothly has been encoded anyway, and its token at that place says what the surroundings suggest; in a cell
that lacks two pixels of sixteen it nearly is the answer. A hidden token carries it as a hint, beside the
share of its pixels that is missing. Nothing from inside the hole is in it, and it is the same in every step.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskmend.errors import ConfigError
from maskmend.models.attention import MultiHeadAttention, rotary_angles
from maskmend.models.token_model import TokenModel


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    codes: int = 1024
    """Codes of the tokenizer; the mask token is one more."""
    grid: int = 16
    """Tokens along a side of the picture."""
    dim: int = 768
    """Width of a token."""
    heads: int = 16
    """Attention heads, a divisor of `dim`."""
    layers: int = 15
    """Blocks of attention and feed-forward."""
    mlp: int = 1536
    """Hidden width of the feed-forward part."""
    norm: Literal["pre", "post"] = "post"
    """LayerNorm before each part (trains more steadily) or after it (as in BERT and the report)."""
    positions: Literal["learned", "rotary", "both"] = "learned"
    """One learned vector a position, 2-D rotary positions in the attention, or both."""
    attention: Literal["full", "context"] = "full"
    """Whether known tokens see the hole (full) or not (context)."""
    marks_hole: bool = False
    """A learned vector added to the tokens of the hole, so that filled tokens can be told from known ones."""
    hints: bool = False
    """Hidden tokens carry the infilled picture's token at their place, and their cell's missing share."""
    guesses: bool = False
    """Hints also tell whether a guess of the content filled the hole before encoding (a coarser fill,
    enlarged, or a person's sketch) or a smooth infill. Needs `hints`."""
    dropout: float = 0.1
    """Dropout of embeddings and residual branches in training; not of attention weights."""
    norm_eps: float = 1e-5
    """What LayerNorm adds to the variance; the published coursework has 1e-12."""
    position_bias: bool = False
    """The bias of the logits is one vector a position (as in the published coursework), not one for all."""

    def __post_init__(self) -> None:
        for name in ("codes", "grid", "dim", "heads", "layers", "mlp"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: choose at least 1")
        choices = {"norm": ("pre", "post"), "positions": ("learned", "rotary", "both")}
        choices["attention"] = ("full", "context")
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} = {getattr(self, name)!r}: choose one of {', '.join(known)}")
        if self.dim % self.heads:
            raise ConfigError(f"heads = {self.heads} does not divide dim = {self.dim}: choose a divisor")
        if self.positions != "learned" and (self.dim // self.heads) % 4:
            raise ConfigError(
                f"positions = {self.positions!r} with dim / heads = {self.dim // self.heads}: "
                "rotary positions need heads of a width divisible by 4"
            )
        if self.guesses and not self.hints:
            raise ConfigError(
                "guesses = true with hints = false: a guess is a kind of hint, set hints = true"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout = {self.dropout}: choose a value in [0, 1)")
        if not 0 < self.norm_eps < 1:
            raise ConfigError(f"norm_eps = {self.norm_eps}: choose a small number above 0, such as 1e-5")

    @property
    def tokens(self) -> int:
        """Tokens of a picture."""
        return self.grid**2

    @property
    def mask_id(self) -> int:
        """The token that stands for a hidden one."""
        return self.codes

    @property
    def labels(self) -> int:
        """It knows no classes."""
        return 0

    @property
    def unconditional(self) -> bool:
        """All its predictions are."""
        return True


def report_config(**changes: Any) -> TransformerConfig:
    """The report's transformer: dim 768, 16 heads, 15 layers, MLP 1536, 256 tokens, 1,024 codes + mask."""
    return replace(TransformerConfig(), **changes)


def small_config(**changes: Any) -> TransformerConfig:
    """A transformer that trains on two cores."""
    config = TransformerConfig(
        dim=256,
        heads=8,
        layers=6,
        mlp=768,
        norm="pre",
        positions="both",
        attention="context",
        marks_hole=True,
        hints=True,
        dropout=0.0,
    )
    return replace(config, **changes)


class Hints(NamedTuple):
    """What a hidden token may know of its own place."""

    tokens: Int[Tensor, "B N"]
    """Tokens of the picture with its hole filled in."""
    missing: Float[Tensor, "B N"]
    """Share of each token's pixels that lie in the hole, 0 to 1."""
    guess: Float[Tensor, "B N"] | None = None
    """1 where a guess of its content filled the hole, 0 where a smooth infill; None: 0 everywhere."""

    def at(self, index: Any) -> "Hints":
        """The hints of the tokens, or of the pictures, that `index` selects."""
        guess = None if self.guess is None else self.guess[index]
        return Hints(self.tokens[index], self.missing[index], guess)

    def flags(self) -> Float[Tensor, "*B"]:
        """`guess`, zeros where it is None."""
        return torch.zeros_like(self.missing) if self.guess is None else self.guess.to(self.missing.dtype)


class Block(nn.Module):
    """Attention and feed-forward part, each with a residual connection; LayerNorm before or after."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.pre = config.norm == "pre"
        self.norm1 = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.attention = MultiHeadAttention(config.dim, config.heads)
        self.norm2 = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.mlp = nn.Sequential(
            nn.Linear(config.dim, config.mlp),
            nn.GELU(),
            nn.Linear(config.mlp, config.dim),
            nn.Dropout(config.dropout),
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        allowed: Bool[Tensor, "#B #h #T T"] | None = None,
        angles: Float[Tensor, "B T half"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        if self.pre:
            x = x + self.dropout(self.attention(self.norm1(x), allowed, angles))
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.dropout(self.attention(x, allowed, angles)))
        return self.norm2(x + self.mlp(x))


class MaskedTransformer(TokenModel):
    """Predicts hidden tokens from visible ones."""

    architecture: ClassVar[str] = "maskmend"
    config: TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        dim, eps = config.dim, config.norm_eps
        self.token_embedding = nn.Embedding(config.codes + 1, dim)
        self.position_embedding = nn.Embedding(config.tokens, dim) if config.positions != "rotary" else None
        self.hole_embedding = nn.Parameter(torch.zeros(dim)) if config.marks_hole else None
        self.hint = nn.Linear(2 * dim + 1 + config.guesses, dim) if config.hints else None
        self.embedding_norm = nn.LayerNorm(dim, eps=eps) if config.norm == "post" else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(dim, eps=eps) if config.norm == "pre" else nn.Identity()
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim, eps=eps))
        places = (config.tokens,) if config.position_bias else ()
        self.bias = nn.Parameter(torch.zeros(*places, config.codes))
        self.apply(_initialise)
        if self.hint is not None:
            # At first the hint is read as the code it names.
            nn.init.eye_(self.hint.weight.data[:, :dim])

    @torch.no_grad()
    def start_from(self, trained: "MaskedTransformer") -> None:
        """Takes over all weights of `trained`; one that knows no guesses starts by treating them as infills.

        Raises RuntimeError where names or shapes differ in any other way.
        """
        state = trained.state_dict()
        if self.config.guesses and not trained.config.guesses and "hint.weight" in state:
            state["hint.weight"] = F.pad(state["hint.weight"], (0, 1))
        self.load_state_dict(state)

    @torch.no_grad()
    def start_from_codebook(self, codebook: Float[Tensor, "K C"]) -> None:
        """Embeds each code as a random projection of its codebook vector, at the usual initial scale.

        Codes that look alike then start as neighbours, in the input and in the tied output; a transformer
        with few pictures to learn from need not find that out code by code.
        """
        centred = codebook.float() - codebook.float().mean(0)
        projection = torch.randn(codebook.shape[1], self.config.dim, device=codebook.device)
        spread = centred @ projection
        self.token_embedding.weight[: self.config.codes] = spread * (0.02 / spread.std())

    def forward(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        wanted: Bool[Tensor, "B N"] | Int[Tensor, "S"] | None = None,
        hints: Hints | None = None,
        condition: Tensor | None = None,
    ) -> Float[Tensor, "S K"]:
        """Logits of the `wanted` tokens (all when None), one row each in row-major order, in one full pass.

        Args:
            tokens: codes, `mask_id` where hidden.
            hole: tokens that are to be filled, whether still hidden or filled already.
            wanted: tokens whose logits are asked for: a mask, or their numbers in the flattened batch, which
                an accelerator need not stop to count.
            hints: for a model with `config.hints`.
            condition: of other models; this one knows none.
        """
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        allowed = None
        if self.config.attention == "context":
            allowed = (hole[:, :, None] | ~hole[:, None, :])[:, None]  # (B, 1, N, N): by query, by key
        x = self.embed(tokens, self.place(positions, hole), hints)
        angles = self.angles(positions)
        for block in self.blocks:
            x = block(x, allowed, angles)
        x, positions = x.flatten(0, 1), positions.flatten()
        if wanted is not None:
            rows = wanted.flatten().nonzero()[:, 0] if wanted.dtype == torch.bool else wanted
            x, positions = x.index_select(0, rows), positions.index_select(0, rows)
        return self.logits(x, positions)

    def place(self, positions: Int[Tensor, "*B"], hole: Bool[Tensor, "*B"]) -> Float[Tensor, "*B D"]:
        """What a token's place adds to its embedding: the position's vector and the mark of the hole."""
        if self.position_embedding is None:
            x = self.bias.new_zeros(*positions.shape, self.config.dim)
        else:
            x = self.position_embedding(positions)
        return x if self.hole_embedding is None else x + hole[..., None] * self.hole_embedding

    def embed(
        self, tokens: Int[Tensor, "*B"], place: Float[Tensor, "*B D"], hints: Hints | None = None
    ) -> Float[Tensor, "*B D"]:
        """Tokens as the vectors that enter the first block; `hints` are of the same tokens."""
        x = self.token_embedding(tokens) + place
        if self.hint is not None:
            if hints is None:
                raise ConfigError(
                    "this transformer was trained with hints: pass hints=Hints(tokens, missing)"
                )
            x = x + (tokens == self.config.mask_id)[..., None] * self.hinted(hints)
        return self.dropout(self.embedding_norm(x))

    def hinted(self, hints: Hints) -> Float[Tensor, "*B D"]:
        """What the hints add to the embeddings of hidden tokens; for a model with `config.hints`."""
        assert self.hint is not None
        code, missing = self.token_embedding(hints.tokens), hints.missing[..., None]
        features = [code, missing * code, missing]
        if self.config.guesses:
            features.append(hints.flags()[..., None])
        return self.hint(torch.cat(features, dim=-1))

    def angles(self, positions: Int[Tensor, "B T"]) -> Float[Tensor, "B T half"] | None:
        """Rotary angles at `positions`, or None where positions are learned only."""
        if self.config.positions == "learned":
            return None
        return rotary_angles(positions, self.config.grid, self.config.dim // self.config.heads)

    def logits(self, x: Float[Tensor, "S D"], positions: Int[Tensor, "S"]) -> Float[Tensor, "S K"]:
        """Logits over the codes; the head is tied to the token embedding."""
        codes, x = self.token_embedding.weight[: self.config.codes], self.head(self.final_norm(x))
        if self.config.position_bias:
            return F.linear(x, codes) + self.bias[positions]
        return F.linear(x, codes, self.bias)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
