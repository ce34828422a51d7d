"""Halton-MaskGIT checkpoints (valeoai/Halton-MaskGIT, MIT) with LlamaGen's tokenizer (VQ-16, MIT).

    ImageNet_*.pth   ["model_state_dict"]: tok_emb (tied to head), cls_emb, pos_emb, reg_tokens, transformer
    vq_ds16_c2i.pt   ["model"]: encoder, decoder with conv_blocks, quantize with codes of length 1

The tokenizer's names differ from taming's in the stages: conv_blocks.i.{res, attn}.j, mid.0-2, and in the
decoder the stages are numbered from the latent resolution up.
"""

import re
from collections.abc import Callable
from functools import partial
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor

from maskmend.errors import ConfigError, ModelError
from maskmend.importers.source import Source, read_source
from maskmend.importers.vqgan_layout import Layout, expected_shapes, read_layout
from maskmend.importers.vqgans import convert_vqgan
from maskmend.importers.writing import Conversion, built_empty, class_conditional
from maskmend.models.halton import Halton, HaltonConfig
from maskmend.models.vqgan import VQGAN

WHAT = "a Halton-MaskGIT checkpoint (such as ImageNet_384_large.pth)"
TOKENIZER_WHAT = "LlamaGen's tokenizer (vq_ds16_c2i.pt)"
HEADS = {384: 6, 512: 6, 768: 12, 1024: 16, 1152: 16}
"""By width, as published: they cannot be inferred from the tensors."""
TOKENIZER = Layout(codes=16384, code_dim=8, unit_codes=True)
DEFAULTS = {"steps": 12, "noise": 1.0, "order": "halton", "schedule": "arccos", "ring": 1}
MIDDLE = ("block_1", "attn_1", "block_2")


def convert_halton(transformer: Path | str, tokenizer: Path | str, *, heads: int | None = None) -> Conversion:
    """Reads the network's checkpoint and the tokenizer's.

    Args:
        transformer: ImageNet_256_base.pth, ImageNet_384_large.pth or another of that project.
        tokenizer: vq_ds16_c2i.pt.
        heads: of the attention, for a width that is not a published one.

    Raises ModelError where a file is not one, ConfigError for invalid `heads`.
    """
    source = read_source(Path(transformer), "tok_emb.weight", WHAT)
    config = _config(source, heads)
    source.check(_expected(config), WHAT)
    words = _renamed(read_source(Path(tokenizer), "quantize.embedding.weight", TOKENIZER_WHAT))
    made = _tokenizer(words, config)
    model = built_empty(Halton, config)
    files, weights = (transformer, tokenizer), _weights(source, config)
    return class_conditional(files, made, model, weights, defaults=DEFAULTS, card=CARD)


def _tokenizer(words: Source, config: HaltonConfig) -> VQGAN:
    layout = read_layout(words, TOKENIZER)
    if layout.codes != config.codes:
        raise ModelError(
            f"{words.path} has {layout.codes} codes, the transformer {config.codes}: give {TOKENIZER_WHAT}"
        )
    return convert_vqgan(words, layout, layout.factor * config.grid, TOKENIZER_WHAT)


def _renamed(source: Source) -> Source:
    """The tensors by taming's names."""
    stages = source.count(r"decoder\.conv_blocks\.(\d+)\.")

    def name(theirs: str) -> str:
        if found := re.match(r"(encoder|decoder)\.mid\.([012])\.(.+)", theirs):
            return f"{found[1]}.mid.{MIDDLE[int(found[2])]}.{found[3]}"
        if found := re.match(r"(encoder|decoder)\.conv_blocks\.(\d+)\.(.+)", theirs):
            side, stage, rest = found[1], int(found[2]), found[3]
            level = f"down.{stage}" if side == "encoder" else f"up.{stages - 1 - stage}"
            return f"{side}.{level}.{re.sub(r'^res[.]', 'block.', rest)}"
        return theirs

    kept = source.without(r"quantize\.codebook_used$")
    found = {name(key): tensor for key, tensor in kept.tensors.items()}
    theirs = {ours: _theirs(ours, stages) for ours in (*found, *expected_shapes(TOKENIZER))}
    return Source(source.path, found, source.prefix, theirs)


def _theirs(name: str, stages: int) -> str:
    """What the file calls a tensor of taming's name."""
    name = re.sub(r"mid\.(\w+)", lambda m: f"mid.{MIDDLE.index(m[1]) if m[1] in MIDDLE else m[1]}", name)
    name = re.sub(r"decoder\.up\.(\d+)", lambda m: f"decoder.conv_blocks.{stages - 1 - int(m[1])}", name)
    name = re.sub(r"encoder\.down\.", "encoder.conv_blocks.", name)
    return name.replace(".block.", ".res.")


def _config(source: Source, heads: int | None) -> HaltonConfig:
    words, dim = source.shape("tok_emb.weight")
    length = source.shape("pos_emb.weight")[0]
    if isqrt(length) ** 2 != length:
        raise ModelError(f"{source.path} has {length} positions, no square picture: give {WHAT}")
    if heads is None and dim not in HEADS:
        raise ConfigError(
            f"{source.path} is {dim} wide, no published Halton-MaskGIT: give its number of heads with --heads"
        )
    return HaltonConfig(
        codes=words - 1,
        grid=isqrt(length),
        dim=dim,
        heads=heads or HEADS[dim],
        layers=source.count(r"transformer\.layers\.(\d+)\."),
        mlp=source.shape("transformer.layers.0.ff.w1.weight")[0],
        registers=source.shape("reg_tokens.weight")[0] if "reg_tokens.weight" in source else 0,
        labels=source.shape("cls_emb.weight")[0] - 1,
    )


def _expected(config: HaltonConfig) -> dict[str, tuple[int, ...]]:
    dim, inner, words = config.dim, config.inner, config.codes + 1
    found: dict[str, tuple[int, ...]] = {
        "tok_emb.weight": (words, dim),
        "head.weight": (words, dim),
        "head.bias": (words,),
        "cls_emb.weight": (config.labels + 1, dim),
        "pos_emb.weight": (config.grid**2, dim),
        "last_norm.norm_final.weight": (dim,),
        "last_norm.norm_final.bias": (dim,),
        "last_norm.mlp.1.weight": (2 * dim, dim),
        "last_norm.mlp.1.bias": (2 * dim,),
    }
    if config.registers:
        found["reg_tokens.weight"] = (config.registers, dim)
    for n in range(config.layers):
        name = f"transformer.layers.{n}"
        found |= {f"{name}.mlp.1.weight": (6 * dim, dim), f"{name}.mlp.1.bias": (6 * dim,)}
        found |= {f"{name}.ln1.weight": (dim,), f"{name}.ln2.weight": (dim,)}
        found |= {f"{name}.attn.w{part}.weight": (inner, dim) for part in "qkv"}
        found |= {f"{name}.attn.wo.weight": (dim, inner)}
        found |= {f"{name}.ff.w{part}.weight": (config.mlp, dim) for part in "13"}
        found |= {f"{name}.ff.w2.weight": (dim, config.mlp)}
    return found


def _weights(source: Source, config: HaltonConfig) -> dict[str, Callable[[], Tensor]]:
    take = source.take
    found: dict[str, Callable[[], Tensor]] = {
        "token_embedding.weight": lambda: _tied(source),
        "class_embedding.weight": partial(take, "cls_emb.weight"),
        "position_embedding": partial(take, "pos_emb.weight"),
        "registers": partial(take, "reg_tokens.weight") if config.registers else partial(_none, config.dim),
        "final_modulation.weight": partial(take, "last_norm.mlp.1.weight"),
        "final_modulation.bias": partial(take, "last_norm.mlp.1.bias"),
        "final_norm.weight": partial(take, "last_norm.norm_final.weight"),
        "final_bias": partial(take, "last_norm.norm_final.bias"),
        "bias": lambda: take("head.bias")[: config.codes],
    }
    parts = {
        "modulation.weight": "mlp.1.weight", "modulation.bias": "mlp.1.bias",
        "norm1.weight": "ln1.weight", "norm2.weight": "ln2.weight",
        "attention.query.weight": "attn.wq.weight", "attention.key.weight": "attn.wk.weight",
        "attention.value.weight": "attn.wv.weight", "attention.out.weight": "attn.wo.weight",
        "gate.weight": "ff.w1.weight", "up.weight": "ff.w3.weight", "down.weight": "ff.w2.weight",
    }  # fmt: skip
    for n in range(config.layers):
        for ours, theirs in parts.items():
            found[f"blocks.{n}.{ours}"] = partial(take, f"transformer.layers.{n}.{theirs}")
    return found


def _none(dim: int) -> Tensor:
    return torch.zeros(0, dim)


def _tied(source: Source) -> Tensor:
    words = source.take("tok_emb.weight")
    if not words.equal(source.take("head.weight")):
        raise ModelError(
            f"{source.path}: head.weight is not tok_emb.weight, to which it is tied: give {WHAT}"
        )
    return words


CARD = """# Halton-MaskGIT

Converted by `maskmend convert halton` from {name} and {tokenizer}: {layers} blocks, {dim} wide.

- Source: valeoai/Halton-MaskGIT, "Halton Scheduler for Masked Generative Image Transformer" (Besnier et al.
  2025); tokenizer VQ-16 of FoundationVision/LlamaGen. Code and weights: MIT licences.
- Data: ImageNet-1k. The data set's terms allow research and no commercial use; whether they bind what was
  learnt from it is for you to judge.
- What it fills: photographs of {side} x {side} pixels through {grid} x {grid} tokens; without a label, or
  with one of ImageNet's classes (`label=`) and guidance (`guidance=`).
- Trained to fill random tokens, not connected holes: one ring of tokens around the hole is predicted again
  (`ring = 1`).
"""
