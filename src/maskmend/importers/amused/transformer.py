"""diffusers' UVit2DModel as our `UViT`: its sizes, and the source of each of our weights.

The keys fall into two groups. Weights applied to the tokens are the same here under other names. Weights
applied only to the prompt and the picture's size (`CONDITIONING`: adaptive norms, keys and values of the
text) are folded into constants by `models.uvit_conditioning`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from maskmend.errors import ConfigError, ModelError
from maskmend.importers.amused.component import Component
from maskmend.models.uvit import UViTConfig
from maskmend.models.uvit_conditioning import SINUSOIDS

FIXED = {
    "use_bias": False,
    "ln_elementwise_affine": True,
    "layer_norm_eps": 1e-6,
    "micro_cond_encode_dim": SINUSOIDS,
    "micro_cond_embed_dim": 5 * SINUSOIDS,
}
SIZES = {
    "hidden_size": 1024, "cond_embed_dim": 768, "encoder_hidden_size": 768, "vocab_size": 8256,
    "codebook_size": 8192, "in_channels": 768, "block_out_channels": 768, "num_res_blocks": 3,
    "block_num_heads": 12, "num_hidden_layers": 22, "num_attention_heads": 16, "intermediate_size": 2816,
    "sample_size": 64,
}  # fmt: skip
"""Names of its config, with the values that diffusers takes where one is missing."""
KNOWN = ("hidden_dropout", "attention_dropout", "downsample", "upsample", *FIXED, *SIZES)


class TensorOrigin(NamedTuple):
    """Where one of our weights comes from."""

    key: str
    shape: tuple[int, ...]
    """Of the tensor there."""
    change: Callable[[Tensor], Tensor] | None = None
    """Converts it to ours; None: only the shape, such as that of a 1 x 1 convolution, may differ."""


class UViTLayout(NamedTuple):
    """A UVit2DModel, read off its config."""

    config: UViTConfig
    body: dict[str, TensorOrigin]
    """By our name: the weights of a pass."""
    conditioning: dict[str, TensorOrigin]
    """By the name in `uvit_conditioning`: the weights between prompt and constants."""
    text_width: int
    """Of the text encoder's hidden states."""
    pooled_width: int
    """Of its projected embedding."""


def read_layout(component: Component, mask_token: int | None, text_tokens: int) -> UViTLayout:
    """Sizes and places of a checked transformer. Raises ModelError where anything does not fit.

    Args:
        component: the folder `transformer`.
        mask_token: its number, as the scheduler's config says; None: the last of the vocabulary.
        text_tokens: the length of a prompt.
    """
    path = component.path
    component.allow(KNOWN)
    component.expect(FIXED)
    size = {name: component.size(name, default) for name, default in SIZES.items()}
    halves = bool(component.config.get("downsample", False))
    component.expect({"downsample": halves, "upsample": halves})
    if size["in_channels"] != size["block_out_channels"]:
        raise ModelError(
            f"{path}: in_channels is {size['in_channels']} and block_out_channels "
            f"{size['block_out_channels']}, and only equal ones can be converted"
        )
    mask_token = size["vocab_size"] - 1 if mask_token is None else mask_token
    if not size["codebook_size"] <= mask_token < size["vocab_size"]:
        raise ModelError(
            f"{path}: mask token {mask_token} is none of the rows {size['codebook_size']} to "
            f"{size['vocab_size'] - 1} after the codes: take the scheduler's config from the same model"
        )
    component.counted("num_hidden_layers", 22, r"transformer_layers\.(\d+)\.")
    component.counted("num_res_blocks", 3, r"down_block\.res_blocks\.(\d+)\.")
    try:
        config = UViTConfig(
            codes=size["codebook_size"],
            grid=size["sample_size"],
            dim=size["hidden_size"],
            heads=size["num_attention_heads"],
            layers=size["num_hidden_layers"],
            mlp=size["intermediate_size"],
            conv_dim=size["in_channels"],
            conv_heads=size["block_num_heads"],
            conv_blocks=size["num_res_blocks"],
            halves=halves,
            text_tokens=text_tokens,
        )
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from None
    rows = torch.tensor([*range(config.codes), mask_token])
    vocabulary = TensorOrigin(
        "embed.embeddings.weight",
        (size["vocab_size"], config.conv_dim),
        lambda table: table.index_select(0, rows),
    )
    layout = UViTLayout(
        config,
        _body(config) | {"token_embedding.weight": vocabulary},
        _conditioning(config, size["encoder_hidden_size"], size["cond_embed_dim"]),
        size["encoder_hidden_size"],
        size["cond_embed_dim"],
    )
    places = (*layout.body.values(), *layout.conditioning.values())
    component.source.check({place.key: place.shape for place in places}, "a UVit2DModel of its config.json")
    return layout


def _body(config: UViTConfig) -> dict[str, TensorOrigin]:
    outer, inner = config.conv_dim, config.dim
    places = {
        "embedding_norm.weight": TensorOrigin("embed.layer_norm.weight", (outer,)),
        "proj_in.weight": TensorOrigin("embed.conv.weight", (outer, outer, 1, 1)),
        "inner_norm.weight": TensorOrigin("project_to_hidden_norm.weight", (outer,)),
        "to_inner.weight": TensorOrigin("project_to_hidden.weight", (inner, outer)),
        "outer_norm.weight": TensorOrigin("project_from_hidden_norm.weight", (inner,)),
        "to_outer.weight": TensorOrigin("project_from_hidden.weight", (outer, inner)),
        "proj_out.weight": TensorOrigin("mlm_layer.conv1.weight", (outer, outer, 1, 1)),
        "final_norm.weight": TensorOrigin("mlm_layer.layer_norm.weight", (outer,)),
        "head.weight": TensorOrigin("mlm_layer.conv2.weight", (config.codes, outer, 1, 1)),
    }
    if config.halves:
        for ours, theirs in (("downsample", "down_block.downsample"), ("upsample", "up_block.upsample")):
            places[f"{ours}.norm.weight"] = TensorOrigin(f"{theirs}.norm.weight", (outer,))
            places[f"{ours}.conv.weight"] = TensorOrigin(f"{theirs}.conv.weight", (outer, outer, 2, 2))
    for ours, conv, attention in _stages(config):
        places |= {
            f"{ours}.conv.depthwise.weight": TensorOrigin(f"{conv}.depthwise.weight", (outer, 1, 3, 3)),
            f"{ours}.conv.norm.weight": TensorOrigin(f"{conv}.norm.weight", (outer,)),
            f"{ours}.conv.up.weight": TensorOrigin(f"{conv}.channelwise_linear_1.weight", (4 * outer, outer)),
            f"{ours}.conv.response_weight": TensorOrigin(
                f"{conv}.channelwise_norm.gamma", (1, 1, 1, 4 * outer)
            ),
            f"{ours}.conv.response_bias": TensorOrigin(f"{conv}.channelwise_norm.beta", (1, 1, 1, 4 * outer)),
            f"{ours}.conv.down.weight": TensorOrigin(
                f"{conv}.channelwise_linear_2.weight", (outer, 4 * outer)
            ),
        }
        for n in (1, 2):
            places[f"{ours}.norm{n}.weight"] = TensorOrigin(f"{attention}.norm{n}.weight", (outer,))
            places |= _linears(f"{ours}.text{n}", f"{attention}.attn{n}", outer, ("query", "out"))
    for i in range(config.layers):
        ours, theirs = f"blocks.{i}", f"transformer_layers.{i}"
        places |= _linears(f"{ours}.attention", f"{theirs}.attn1", inner, ("query", "key", "value", "out"))
        places |= _linears(f"{ours}.text", f"{theirs}.attn2", inner, ("query", "out"))
        places[f"{ours}.up.weight"] = TensorOrigin(f"{theirs}.ff.net.0.proj.weight", (2 * config.mlp, inner))
        places[f"{ours}.down.weight"] = TensorOrigin(f"{theirs}.ff.net.2.weight", (inner, config.mlp))
    return places


def _conditioning(config: UViTConfig, text: int, pooled: int) -> dict[str, TensorOrigin]:
    outer, inner = config.conv_dim, config.dim
    places = {
        "cond_in": TensorOrigin("cond_embed.linear_1.weight", (inner, pooled + 5 * SINUSOIDS)),
        "cond_out": TensorOrigin("cond_embed.linear_2.weight", (inner, inner)),
        "text": TensorOrigin("encoder_proj.weight", (inner, text)),
        "text_norm": TensorOrigin("encoder_proj_layer_norm.weight", (inner,)),
    }
    for ours, conv, attention in _stages(config):
        places[f"{ours}.conv.modulation"] = TensorOrigin(
            f"{conv}.cond_embeds_mapper.weight", (2 * outer, inner)
        )
        places[f"{ours}.text"] = TensorOrigin(f"{attention}.kv_mapper.weight", (outer, inner))
        for n in (1, 2):
            places[f"{ours}.text{n}.key"] = TensorOrigin(f"{attention}.attn{n}.to_k.weight", (outer, outer))
            places[f"{ours}.text{n}.value"] = TensorOrigin(f"{attention}.attn{n}.to_v.weight", (outer, outer))
    for i in range(config.layers):
        ours, theirs = f"blocks.{i}", f"transformer_layers.{i}"
        for n in (1, 2, 3):
            places[f"{ours}.norm{n}.weight"] = TensorOrigin(f"{theirs}.norm{n}.norm.weight", (inner,))
            places[f"{ours}.norm{n}.modulation"] = TensorOrigin(
                f"{theirs}.norm{n}.linear.weight", (2 * inner, inner)
            )
        places[f"{ours}.text.key"] = TensorOrigin(f"{theirs}.attn2.to_k.weight", (inner, inner))
        places[f"{ours}.text.value"] = TensorOrigin(f"{theirs}.attn2.to_v.weight", (inner, inner))
    return places


def _stages(config: UViTConfig) -> list[tuple[str, str, str]]:
    """Of each convolutional stage: our name, and theirs of its convolutional block and of its attention."""
    return [
        (f"{end}_stages.{i}", f"{end}_block.res_blocks.{i}", f"{end}_block.attention_blocks.{i}")
        for end in ("down", "up")
        for i in range(config.conv_blocks)
    ]


def _linears(ours: str, theirs: str, dim: int, roles: tuple[str, ...]) -> dict[str, TensorOrigin]:
    names = {"query": "to_q", "key": "to_k", "value": "to_v", "out": "to_out.0"}
    return {
        f"{ours}.{role}.weight": TensorOrigin(f"{theirs}.{names[role]}.weight", (dim, dim)) for role in roles
    }
