"""CLIP's text encoder (Radford et al. 2021): a causal transformer over the tokens of a text.

    x = token + position;   x = x + attention(LN(x));   x = x + W2 gelu(W1 LN(x))      for each layer
    pooled = W LN(x)[the first end token]

A function that is given its weights one by one, so that they can stay in their file: it runs once per prompt.
The names are those of transformers' CLIPTextModelWithProjection.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from maskmend.models.uvit_conditioning import Prompt


@dataclass(frozen=True, kw_only=True)
class ClipTextConfig:
    words: int = 49408
    """Tokens of its vocabulary."""
    length: int = 77
    """Tokens of a text, end tokens or others to fill up."""
    dim: int = 768
    heads: int = 12
    layers: int = 12
    mlp: int = 3072
    pooled: int = 768
    """Width of the projected embedding."""
    quick_gelu: bool = True
    """x sigmoid(1.702 x) in place of GELU."""
    norm_eps: float = 1e-5


def clip_text_shapes(config: ClipTextConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of its weights."""
    dim = config.dim
    shapes: dict[str, tuple[int, ...]] = {
        "text_model.embeddings.token_embedding.weight": (config.words, dim),
        "text_model.embeddings.position_embedding.weight": (config.length, dim),
        "text_model.final_layer_norm.weight": (dim,),
        "text_model.final_layer_norm.bias": (dim,),
        "text_projection.weight": (config.pooled, dim),
    }
    for i in range(config.layers):
        layer = f"text_model.encoder.layers.{i}"
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}.{norm}.weight": (dim,), f"{layer}.{norm}.bias": (dim,)}
        sizes = {f"self_attn.{role}_proj": (dim, dim) for role in ("q", "k", "v", "out")}
        sizes |= {"mlp.fc1": (config.mlp, dim), "mlp.fc2": (dim, config.mlp)}
        for name, (outer, inner) in sizes.items():
            shapes |= {f"{layer}.{name}.weight": (outer, inner), f"{layer}.{name}.bias": (outer,)}
    return shapes


def encode_text(
    weight: Callable[[str], Tensor], config: ClipTextConfig, words: Int[Tensor, "T"], end: int
) -> Prompt:
    """A text as the U-ViT is shown it.

    Args:
        weight: gives the weight of a name of `clip_text_shapes`.
        config: sizes.
        words: tokens of the text, with those of its beginning and end, filled up to `config.length`.
        end: the end token.
    """

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, weight(f"{name}.weight"), weight(f"{name}.bias"))

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(
            x, (config.dim,), weight(f"{name}.weight"), weight(f"{name}.bias"), config.norm_eps
        )

    def heads(x: Tensor) -> Float[Tensor, "1 h T d"]:
        return x.unflatten(-1, (config.heads, -1)).transpose(0, 1)[None]

    x = weight("text_model.embeddings.token_embedding.weight")[words]  # (T, E)
    x = x + weight("text_model.embeddings.position_embedding.weight")
    before = x
    for i in range(config.layers):
        layer = f"text_model.encoder.layers.{i}"
        before = x
        y = norm(x, f"{layer}.layer_norm1")
        q, k, v = (heads(linear(y, f"{layer}.self_attn.{role}_proj")) for role in ("q", "k", "v"))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)[0].transpose(0, 1).flatten(1)
        x = x + linear(y, f"{layer}.self_attn.out_proj")
        y = linear(norm(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1")
        y = y * torch.sigmoid(1.702 * y) if config.quick_gelu else F.gelu(y)
        x = x + linear(y, f"{layer}.mlp.fc2")
    last = norm(x, "text_model.final_layer_norm")[int((words == end).nonzero()[0, 0])]
    return Prompt(tokens=before, pooled=F.linear(last, weight("text_projection.weight")))
