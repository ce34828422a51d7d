"""The U-ViT of aMUSEd: convolutional ends around a transformer, conditioned on text (Patil et al. 2024,
"aMUSEd: An Open MUSE Reproduction", arXiv 2401.01808; after Hoogeboom et al. 2023, "Simple Diffusion").

    tokens (B, N) ─ embedding ─► [halve] ─► 3 x (ConvNeXt block, text attention x 2) ─ linear ─►
        22 x (self-attention, text attention, gated MLP) ─ linear ─► 3 x (...) ─► [double] ─ head ─► logits

There are no position embeddings: the convolutions' zero padding provides positions. At 512 pixels the
32 x 32 tokens are halved to 16 x 16 for the transformer and doubled after it. No layer but the adaptive norms
has a bias.

What we do differently: the text and the picture's size are constants. In every pass the published network
computes from them the scale and shift of each adaptive norm and the keys and values of each text attention.
These are the same in all steps of all fills with one prompt, so here they are buffers that
`uvit_conditioning` computes once per prompt; a third of the weights is not needed to fill. The buffers in the
file are those of the empty prompt.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from maskmend.errors import ConfigError
from maskmend.models.token_model import ConvertedConfig, TokenModel, check_heads, wanted_rows


@dataclass(frozen=True, kw_only=True)
class UViTConfig(ConvertedConfig):
    codes: int = 8192
    """Codes of the tokenizer. The published vocabulary has the mask token at 8255, after 63 unused rows."""
    grid: int = 16
    dim: int = 1024
    """Width of a token in the transformer."""
    heads: int = 16
    """Attention heads of the transformer, a divisor of `dim`."""
    layers: int = 22
    """Transformer blocks."""
    mlp: int = 2816
    """Hidden width of the gated feed-forward part."""
    conv_dim: int = 768
    """Channels of the embedding and of the convolutional ends."""
    conv_heads: int = 12
    """Heads of their text attention, a divisor of `conv_dim`."""
    conv_blocks: int = 3
    """Convolutional blocks at either end."""
    halves: bool = False
    """The transformer works on a quarter of the tokens: 2 x 2 are joined before it and parted after it."""
    text_tokens: int = 77
    """Tokens of a prompt."""
    norm_eps: float = 1e-6
    """What the norms add to the mean square."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.dim, self.heads)
        check_heads(self.conv_dim, self.conv_heads, "conv_")
        if self.halves and self.grid % 2:
            raise ConfigError(f"halves = true with grid = {self.grid}: choose an even grid")
        if not 0 < self.norm_eps < 1:
            raise ConfigError(f"norm_eps = {self.norm_eps}: choose a small number above 0, such as 1e-6")

    @property
    def tokens(self) -> int:
        """Tokens of a picture."""
        return self.grid**2

    @property
    def labels(self) -> int:
        """It has prompts, no classes."""
        return 0

    @property
    def unconditional(self) -> bool:
        """The empty prompt is one that it was trained with."""
        return True


def amused_config(side: Literal[256, 512] = 256, **changes: Any) -> UViTConfig:
    """The published networks: 256 pixels, 16 x 16 tokens; 512 pixels, 32 x 32 tokens, halved inside."""
    config = UViTConfig() if side == 256 else UViTConfig(grid=32, halves=True)
    return replace(config, **changes)


class AdaptiveNorm(nn.Module):
    """scale * norm(x) + shift, with scale and shift made from the prompt and the picture's size."""

    scale: Tensor
    shift: Tensor

    def __init__(self, dim: int, kind: Literal["rms", "layer"], eps: float) -> None:
        super().__init__()
        self.kind: Literal["rms", "layer"] = kind
        self.eps = eps
        self.register_buffer("scale", torch.ones(dim))
        self.register_buffer("shift", torch.zeros(dim))

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        if self.kind == "layer":
            return F.layer_norm(x, self.scale.shape, self.scale, self.shift, self.eps)
        return F.rms_norm(x, self.scale.shape, self.scale, self.eps) + self.shift


class SelfAttention(nn.Module):
    """Multi-head attention of the tokens over themselves, without biases."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        q, k, v = (_split(part(x), self.heads) for part in (self.query, self.key, self.value))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TextAttention(nn.Module):
    """Multi-head attention of the tokens over the prompt's T tokens, whose keys and values are given."""

    key: Tensor
    value: Tensor

    def __init__(self, dim: int, heads: int, text_tokens: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.register_buffer("key", torch.zeros(text_tokens, dim))
        self.register_buffer("value", torch.zeros(text_tokens, dim))

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        q = _split(self.query(x), self.heads)  # (B, h, N, d)
        k, v = (_split(part[None], self.heads).expand(len(x), -1, -1, -1) for part in (self.key, self.value))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class ConvBlock(nn.Module):
    """A ConvNeXt V2 block (Woo et al. 2023) whose output is scaled and shifted, channel by channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        self.norm = nn.RMSNorm(dim, eps=eps)
        self.up = nn.Linear(dim, 4 * dim, bias=False)
        self.response_weight = nn.Parameter(torch.zeros(4 * dim))
        self.response_bias = nn.Parameter(torch.zeros(4 * dim))
        self.down = nn.Linear(4 * dim, dim, bias=False)
        self.register_buffer("scale", torch.ones(dim))
        self.register_buffer("shift", torch.zeros(dim))

    def forward(self, x: Float[Tensor, "B H W C"]) -> Float[Tensor, "B H W C"]:
        y = self.depthwise(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = F.gelu(self.up(self.norm(y)))
        # Global response normalisation: how strong a channel is over the whole picture, beside the others.
        strength = torch.linalg.vector_norm(y, dim=(1, 2), keepdim=True)  # (B, 1, 1, 4 C)
        relative = strength / (strength.mean(-1, keepdim=True) + 1e-6)
        y = self.response_weight * (y * relative) + self.response_bias + y
        return (x + self.down(y)) * self.scale + self.shift


class ConvStage(nn.Module):
    """A convolutional block, then two text attentions, each with a residual connection."""

    def __init__(self, config: UViTConfig) -> None:
        super().__init__()
        dim, eps = config.conv_dim, config.norm_eps
        self.conv = ConvBlock(dim, eps)
        self.norm1 = nn.RMSNorm(dim, eps=1e-6)
        self.text1 = TextAttention(dim, config.conv_heads, config.text_tokens)
        self.norm2 = nn.RMSNorm(dim, eps=1e-6)
        self.text2 = TextAttention(dim, config.conv_heads, config.text_tokens)

    def forward(self, x: Float[Tensor, "B H W C"]) -> Float[Tensor, "B H W C"]:
        sides = x.shape[1:3]
        x = self.conv(x).flatten(1, 2)  # (B, H W, C)
        x = x + self.text1(self.norm1(x))
        x = x + self.text2(self.norm2(x))
        return x.unflatten(1, sides)


class Block(nn.Module):
    """Self-attention, text attention and a gated MLP (GEGLU), each behind an adaptive norm."""

    def __init__(self, config: UViTConfig) -> None:
        super().__init__()
        dim, eps = config.dim, config.norm_eps
        self.norm1 = AdaptiveNorm(dim, "rms", eps)
        self.attention = SelfAttention(dim, config.heads)
        self.norm2 = AdaptiveNorm(dim, "rms", eps)
        self.text = TextAttention(dim, config.heads, config.text_tokens)
        self.norm3 = AdaptiveNorm(dim, "layer", eps)
        self.up = nn.Linear(dim, 2 * config.mlp, bias=False)
        self.down = nn.Linear(config.mlp, dim, bias=False)

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        x = x + self.attention(self.norm1(x))
        x = x + self.text(self.norm2(x))
        value, gate = self.up(self.norm3(x)).chunk(2, dim=-1)
        return x + self.down(value * F.gelu(gate))


class Resize(nn.Module):
    """A norm and a 2 x 2 convolution of stride 2: halves the sides, or transposed doubles them."""

    def __init__(self, dim: int, eps: float, kind: type[nn.Conv2d] | type[nn.ConvTranspose2d]) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(dim, eps=eps)
        self.conv = kind(dim, dim, 2, stride=2, bias=False)

    def forward(self, x: Float[Tensor, "B H W C"]) -> Float[Tensor, "B H2 W2 C"]:
        return self.conv(self.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class UViT(TokenModel):
    """Predicts masked tokens from visible ones."""

    architecture = "amused"

    def __init__(self, config: UViTConfig) -> None:
        super().__init__()
        self.config = config
        dim, inner, eps = config.conv_dim, config.dim, config.norm_eps
        self.token_embedding = nn.Embedding(config.codes + 1, dim)
        self.embedding_norm = nn.RMSNorm(dim, eps=eps)
        self.proj_in = nn.Linear(dim, dim, bias=False)
        self.downsample = Resize(dim, eps, nn.Conv2d) if config.halves else nn.Identity()
        self.down_stages = nn.ModuleList(ConvStage(config) for _ in range(config.conv_blocks))
        self.inner_norm = nn.RMSNorm(dim, eps=eps)
        self.to_inner = nn.Linear(dim, inner, bias=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.outer_norm = nn.RMSNorm(inner, eps=eps)
        self.to_outer = nn.Linear(inner, dim, bias=False)
        self.up_stages = nn.ModuleList(ConvStage(config) for _ in range(config.conv_blocks))
        self.upsample = Resize(dim, eps, nn.ConvTranspose2d) if config.halves else nn.Identity()
        self.proj_out = nn.Linear(dim, dim, bias=False)
        self.final_norm = nn.RMSNorm(dim, eps=eps)
        self.head = nn.Linear(dim, config.codes, bias=False)

    def forward(
        self,
        tokens: Int[Tensor, "B N"],
        hole: Bool[Tensor, "B N"],
        wanted: Bool[Tensor, "B N"] | Int[Tensor, "S"] | None = None,
        hints: Any = None,
        condition: Float[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "S K"]:
        """As `TokenModel.forward`; `hole` and `hints` are ignored.

        `condition` has the constants of each picture's prompt, from `pack`; None is the empty prompt, whose
        constants are in the file.
        """
        if condition is None:
            x = self.features(tokens)
        else:
            x = torch.cat(
                [
                    functional_call(_Features(self), self.unpack(one), (row[None],))
                    for one, row in zip(condition, tokens, strict=True)
                ]
            )
        return self.head(self.final_norm(self.proj_out(wanted_rows(x, wanted))))

    def features(self, tokens: Int[Tensor, "B N"]) -> Float[Tensor, "B N C"]:
        """The features before the head."""
        x = self.proj_in(self.embedding_norm(self.token_embedding(tokens)))
        x = self.downsample(x.unflatten(1, (self.config.grid, -1)))  # (B, H, W, C)
        for stage in self.down_stages:
            x = stage(x)
        sides = x.shape[1:3]
        x = self.to_inner(self.inner_norm(x.flatten(1, 2)))  # (B, H W, D)
        for block in self.blocks:
            x = block(x)
        x = self.to_outer(self.outer_norm(x)).unflatten(1, sides)
        for stage in self.up_stages:
            x = stage(x)
        return self.upsample(x).flatten(1, 2)

    def pack(self, constants: Mapping[str, Tensor]) -> Float[Tensor, "M"]:
        """The constants of a prompt, by the names of the buffers, as one tensor."""
        return torch.cat([constants[name].flatten() for name, _ in self.named_buffers()])

    def unpack(self, packed: Float[Tensor, "M"]) -> dict[str, Tensor]:
        """The inverse of `pack`, in the number format of the model."""
        buffers = dict(self.named_buffers())
        parts = packed.to(self.dtype).split([buffer.numel() for buffer in buffers.values()])
        return {
            f"model.{name}": part.view_as(buffer)
            for (name, buffer), part in zip(buffers.items(), parts, strict=True)
        }


class _Features(nn.Module):
    """`UViT.features` as a forward pass, whose buffers can be replaced for a call."""

    def __init__(self, model: UViT) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Int[Tensor, "B N"]) -> Float[Tensor, "B N C"]:
        return self.model.features(tokens)


def _split(x: Float[Tensor, "B T D"], heads: int) -> Float[Tensor, "B h T d"]:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)
