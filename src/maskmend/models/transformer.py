"""The bidirectional transformer of masked visual token modelling (MaskGIT, Chang et al. 2022).

    tokens (B, N), `mask_id` where masked ─► embedding + position (+ hole mark) ─► L blocks ─► logits

Two attention patterns share one layout of weights. `full`: every token attends to every token. `prefix`:
known tokens attend to known tokens only, tokens of the hole (masked or already filled) attend to all; the
known tokens are a prefix as in a prefix LM (Raffel et al. 2020), without its causal part. Under `prefix` the
known tokens' keys and values are the same in every decoding step: `inference` computes them once for an
image, and each step costs the hole's tokens only. Logits are computed for masked tokens alone.

What we do differently: `hints`. The image with its hole infilled smoothly is encoded anyway, and its token at
a masked position is a first estimate from the surroundings; in a cell that lacks two pixels of sixteen it is
nearly the answer. A masked token carries it as a hint, together with the missing share of its pixels. A hint
contains nothing from inside the hole and is the same in every step.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from maskmend.choices import choice_error
from maskmend.errors import ConfigError
from maskmend.models.attention import MultiHeadAttention, Rotation, rope_angles
from maskmend.models.token_model import TokenModel


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    codes: int = 1024
    """Number of codes of the tokenizer, not counting the mask token."""
    grid: int = 16
    """Number of tokens along a side of the picture."""
    dim: int = 768
    """Width of a token."""
    heads: int = 16
    """Attention heads, a divisor of `dim`."""
    layers: int = 15
    """Number of transformer blocks (attention and feed-forward)."""
    mlp: int = 1536
    """Hidden width of the feed-forward part."""
    norm: Literal["pre", "post"] = "post"
    """LayerNorm before each sublayer (more stable training) or after it (as in BERT and the coursework)."""
    positions: Literal["learned", "rotary", "both"] = "learned"
    """One learned vector per position, 2-D rotary positions in the attention, or both."""
    attention: Literal["full", "prefix"] = "full"
    """Whether known tokens attend to all tokens (full) or to known tokens only (prefix)."""
    marks_hole: bool = False
    """Adds a learned vector to the tokens of the hole, which distinguishes filled tokens from known ones."""
    hints: bool = False
    """Adds to each masked token the token of the infilled image at its position, and the missing share of its
    cell."""
    guesses: bool = False
    """Hints also say whether the hole was filled with a guess of its content before encoding (an upsampled
    coarser fill, or a sketch) or with a smooth infill. Needs `hints`."""
    dropout: float = 0.1
    """Dropout of embeddings and residual branches in training; not of attention weights."""
    norm_eps: float = 1e-5
    """Value that LayerNorm adds to the variance; 1e-12 in the coursework."""
    position_bias: bool = False
    """The bias of the logits is a vector per position (as in the coursework) instead of one for
    all."""

    def __post_init__(self) -> None:
        for name in ("codes", "grid", "dim", "heads", "layers", "mlp"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: choose at least 1")
        choices = {"norm": ("pre", "post"), "positions": ("learned", "rotary", "both")}
        choices["attention"] = ("full", "prefix")
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ConfigError(choice_error(name, getattr(self, name), known))
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
        """The mask token."""
        return self.codes

    @property
    def labels(self) -> int:
        """0: the model has no classes."""
        return 0

    @property
    def unconditional(self) -> bool:
        """All its predictions are."""
        return True


def coursework_config(**changes: Any) -> TransformerConfig:
    """The coursework's: dim 768, 16 heads, 15 layers, MLP 1536, 256 tokens, 1,024 codes + mask."""
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
        attention="prefix",
        marks_hole=True,
        hints=True,
        dropout=0.0,
    )
    return replace(config, **changes)


def large_config(**changes: Any) -> TransformerConfig:
    """300 million weights: blocks as in `small`, as wide and as many as BERT-large's."""
    return small_config(**{"dim": 1024, "heads": 16, "layers": 24, "mlp": 4096} | changes)


def huge_config(**changes: Any) -> TransformerConfig:
    """A thousand million weights: the same with dim 1792, 28 heads and 26 layers."""
    return small_config(**{"dim": 1792, "heads": 28, "layers": 26, "mlp": 7168} | changes)


class Hints(NamedTuple):
    """The condition of a masked token at its own position."""

    tokens: Int[Tensor, "B N"]
    """Tokens of the image with its hole infilled."""
    missing: Float[Tensor, "B N"]
    """Share of each token's pixels that lie in the hole, 0 to 1."""
    guess: Float[Tensor, "B N"] | None = None
    """1 where a guess of its content filled the hole, 0 where a smooth infill; None: 0 everywhere."""

    def at(self, index: Any) -> "Hints":
        """The hints of the tokens, or of the images, that `index` selects."""
        guess = None if self.guess is None else self.guess[index]
        return Hints(self.tokens[index], self.missing[index], guess)

    def guess_flags(self) -> Float[Tensor, "*B"]:
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
        attn_mask: Bool[Tensor, "#B #h #T T"] | None = None,
        rope: Rotation | None = None,
    ) -> Float[Tensor, "B T D"]:
        q, k, v = self.project(x, rope)
        return self.finish(x, F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask))

    def project(
        self, x: Float[Tensor, "B T D"], rope: Rotation | None = None
    ) -> tuple[Float[Tensor, "B h T d"], Float[Tensor, "B h T d"], Float[Tensor, "B h T d"]]:
        """Queries, keys and values of the block's attention."""
        return self.attention.project(self.norm1(x) if self.pre else x, rope)

    def finish(self, x: Float[Tensor, "B T D"], heads: Float[Tensor, "B h T d"]) -> Float[Tensor, "B T D"]:
        """The rest of the block, after its attention."""
        x = x + self.dropout(self.attention.merge_heads(heads))
        if self.pre:
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x)
        return self.norm2(x + self.mlp(x))


class MaskedTransformer(TokenModel):
    """Predicts masked tokens from visible ones."""

    architecture: ClassVar[str] = "maskmend"
    config: TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False
        """Whether a block's activations are computed again in the backward pass instead of kept."""
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
        positions = (config.tokens,) if config.position_bias else ()
        self.bias = nn.Parameter(torch.zeros(*positions, config.codes))
        self.apply(_initialise)
        if self.hint is not None:
            # Initially a hint adds the embedding of its token.
            nn.init.eye_(self.hint.weight.data[:, :dim])

    @torch.no_grad()
    def init_from(self, trained: "MaskedTransformer") -> None:
        """Copies all weights of `trained`; where only this model has `guesses`, their weights start at zero.

        Raises RuntimeError where names or shapes differ in any other way.
        """
        state = trained.state_dict()
        if self.config.guesses and not trained.config.guesses and "hint.weight" in state:
            state["hint.weight"] = F.pad(state["hint.weight"], (0, 1))
        self.load_state_dict(state)

    @torch.no_grad()
    def init_from_codebook(self, codebook: Float[Tensor, "K C"]) -> None:
        """Embeds each code as a random projection of its codebook vector, at the usual initial scale.

        Similar codes then start with similar embeddings, in the input and in the tied output, which need not
        be learnt from a small training set.
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
            tokens: codes, `mask_id` where masked.
            hole: tokens to be filled, whether still masked or filled already.
            wanted: tokens to compute logits for: a mask, or their indices in the flattened batch, which avoid
                a synchronisation with the device.
            hints: for a model with `config.hints`.
            condition: for other models; this one has none.
        """
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        attn_mask = None
        if self.config.attention == "prefix":
            attn_mask = (hole[:, :, None] | ~hole[:, None, :])[:, None]  # (B, 1, N, N): by query, by key
        x = self.embed(tokens, self.embed_position(positions, hole), hints)
        angles = self.angles(positions)
        rope = None if angles is None else Rotation.by(angles)
        for block in self.blocks:
            if self.recompute and torch.is_grad_enabled():
                x = checkpoint(block, x, attn_mask, rope, use_reentrant=False)
            else:
                x = block(x, attn_mask, rope)
        x, positions = x.flatten(0, 1), positions.flatten()
        if wanted is not None:
            rows = wanted.flatten().nonzero()[:, 0] if wanted.dtype == torch.bool else wanted
            x, positions = x.index_select(0, rows), positions.index_select(0, rows)
        return self.logits(x, positions)

    def embed_position(self, positions: Int[Tensor, "*B"], hole: Bool[Tensor, "*B"]) -> Float[Tensor, "*B D"]:
        """The position embedding, plus the hole embedding for tokens of the hole."""
        if self.position_embedding is None:
            x = self.bias.new_zeros(*positions.shape, self.config.dim)
        else:
            x = self.position_embedding(positions)
        return x if self.hole_embedding is None else x + hole[..., None] * self.hole_embedding

    def embed(
        self, tokens: Int[Tensor, "*B"], position: Float[Tensor, "*B D"], hints: Hints | None = None
    ) -> Float[Tensor, "*B D"]:
        """The input of the first block: token, position and (for masked tokens) hint embeddings."""
        x = self.token_embedding(tokens) + position
        if self.hint is not None:
            if hints is None:
                raise ConfigError(
                    "this transformer was trained with hints: pass hints=Hints(tokens, missing)"
                )
            x = x + (tokens == self.config.mask_id)[..., None] * self.embed_hints(hints)
        return self.dropout(self.embedding_norm(x))

    def embed_visible(
        self, tokens: Int[Tensor, "*B"], position: Float[Tensor, "*B D"]
    ) -> Float[Tensor, "*B D"]:
        """As `embed` for known and filled tokens, which have no hints, without dropout."""
        return self.embedding_norm(self.token_embedding(tokens) + position)

    def embed_hints(self, hints: Hints) -> Float[Tensor, "*B D"]:
        """What the hints add to the embeddings of masked tokens; for a model with `config.hints`."""
        assert self.hint is not None
        code, missing = self.token_embedding(hints.tokens), hints.missing[..., None]
        features = [code, missing * code, missing]
        if self.config.guesses:
            features.append(hints.guess_flags()[..., None])
        return self.hint(torch.cat(features, dim=-1))

    def angles(self, positions: Int[Tensor, "B T"]) -> Float[Tensor, "B T half"] | None:
        """Rotary angles at `positions`, or None where positions are learned only."""
        if self.config.positions == "learned":
            return None
        return rope_angles(positions, self.config.grid, self.config.dim // self.config.heads)

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
