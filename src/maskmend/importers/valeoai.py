"""valeoai's first MaskGIT (branch v1.0, MIT) with the VQGAN of Taming Transformers (MIT).

    MaskGIT_ImageNet_*.pth   ["model_state_dict"]: tok_emb, pos_emb, first_layer, transformer, ...
    last.ckpt                ["state_dict"]: encoder, decoder, quantize, quant_conv, post_quant_conv, loss

Rows of tok_emb: the codes, the mask, the classes, and the class for unconditional sampling. The tokenizer's
file is a PyTorch Lightning checkpoint; its discriminator and optimizers are left out.
"""

from collections.abc import Callable
from functools import partial
from math import isqrt
from pathlib import Path

from torch import Tensor

from maskmend.errors import ModelError
from maskmend.importers.source import Source, read_source
from maskmend.importers.vqgan_layout import Layout, read_layout
from maskmend.importers.vqgans import convert_vqgan
from maskmend.importers.writing import Conversion, built_empty, class_conditional
from maskmend.models.class_token import ValeoaiConfig, ValeoaiMaskgit

WHAT = "a checkpoint of valeoai's MaskGIT (such as MaskGIT_ImageNet_256.pth)"
TOKENIZER_WHAT = "the VQGAN of Taming Transformers (vqgan_imagenet_f16_1024, last.ckpt)"
HEADS = 16
LABELS = 1000
TOKENIZER = Layout(decoder_blocks=3)
DEFAULTS = {"steps": 12, "noise": 4.5, "schedule": "arccos", "ring": 1}


def convert_valeoai(
    transformer: Path | str, tokenizer: Path | str, *, heads: int | None = None
) -> Conversion:
    """Reads the network's checkpoint and the tokenizer's.

    Args:
        transformer: MaskGIT_ImageNet_256.pth or MaskGIT_ImageNet_512.pth.
        tokenizer: last.ckpt of vqgan_imagenet_f16_1024.
        heads: of the attention; 16 unless given.

    Raises ModelError where a file is not one, ConfigError for invalid `heads`.
    """
    source = read_source(Path(transformer), "tok_emb.weight", WHAT)
    words = read_source(Path(tokenizer), "quantize.embedding.weight", TOKENIZER_WHAT)
    words = words.without(r"loss\.", r"colorize$")
    layout = read_layout(words, TOKENIZER)
    config = _config(source, layout.codes, heads or HEADS)
    source.check(_expected(config), WHAT)
    made = convert_vqgan(words, layout, layout.factor * config.grid, TOKENIZER_WHAT)
    model = built_empty(ValeoaiMaskgit, config)
    files, weights = (transformer, tokenizer), _weights(source, config)
    return class_conditional(files, made, model, weights, defaults=DEFAULTS, card=CARD)


def _config(source: Source, codes: int, heads: int) -> ValeoaiConfig:
    words, dim = source.shape("tok_emb.weight")
    length = source.shape("pos_emb")[1]
    grid = isqrt(length - 1)
    if words != codes + LABELS + 2 or grid**2 + 1 != length:
        raise ModelError(
            f"{source.path}: {words} rows of tok_emb and {length} positions do not belong to {codes} codes, "
            f"{LABELS} classes and a square picture: give {WHAT}, and its tokenizer"
        )
    return ValeoaiConfig(
        codes=codes,
        grid=grid,
        dim=dim,
        heads=heads,
        layers=source.count(r"transformer\.layers\.(\d+)\."),
        mlp=source.shape("transformer.layers.0.1.fn.net.0.weight")[0],
        labels=LABELS,
    )


def _expected(config: ValeoaiConfig) -> dict[str, tuple[int, ...]]:
    dim, length, words = config.dim, config.grid**2 + 1, config.codes + config.labels + 2
    found: dict[str, tuple[int, ...]] = {
        "tok_emb.weight": (words, dim),
        "pos_emb": (1, length, dim),
        "bias": (length, words),
    }
    linears = {"first_layer.2": (dim, dim), "first_layer.6": (dim, dim), "last_layer.2": (dim, dim)}
    norms = ["first_layer.0", "first_layer.4", "last_layer.0", "last_layer.4"]
    for n in range(config.layers):
        name = f"transformer.layers.{n}"
        norms += [f"{name}.0.norm", f"{name}.1.norm"]
        found |= {f"{name}.0.fn.mha.in_proj_weight": (3 * dim, dim)}
        found |= {f"{name}.0.fn.mha.in_proj_bias": (3 * dim,)}
        linears |= {f"{name}.0.fn.mha.out_proj": (dim, dim)}
        linears |= {f"{name}.1.fn.net.0": (config.mlp, dim), f"{name}.1.fn.net.3": (dim, config.mlp)}
    for name, shape in linears.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        found |= {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}
    return found


def _weights(source: Source, config: ValeoaiConfig) -> dict[str, Callable[[], Tensor]]:
    take, codes = source.take, config.codes
    found: dict[str, Callable[[], Tensor]] = {
        "token_embedding.weight": lambda: take("tok_emb.weight")[: codes + 1],
        "class_embedding.weight": lambda: take("tok_emb.weight")[codes + 1 :],
        "position_embedding": lambda: take("pos_emb")[0],
        "bias": lambda: take("bias")[:-1, :codes],
    }
    pairs = {
        "proj_in.0": "first_layer.0", "proj_in.1": "first_layer.2", "proj_in.3": "first_layer.4",
        "proj_in.4": "first_layer.6", "head.0": "last_layer.0", "head.1": "last_layer.2",
        "head.3": "last_layer.4",
    }  # fmt: skip
    for n in range(config.layers):
        ours, theirs = f"blocks.{n}", f"transformer.layers.{n}"
        pairs |= {f"{ours}.norm1": f"{theirs}.0.norm", f"{ours}.norm2": f"{theirs}.1.norm"}
        pairs |= {f"{ours}.attention.out": f"{theirs}.0.fn.mha.out_proj"}
        pairs |= {f"{ours}.mlp.0": f"{theirs}.1.fn.net.0", f"{ours}.mlp.2": f"{theirs}.1.fn.net.3"}
        for third, part in enumerate(("query", "key", "value")):
            for leaf in ("weight", "bias"):
                key = f"{theirs}.0.fn.mha.in_proj_{leaf}"
                found[f"{ours}.attention.{part}.{leaf}"] = partial(source.third, key, third)
    for ours, theirs in pairs.items():
        for leaf in ("weight", "bias"):
            found[f"{ours}.{leaf}"] = partial(take, f"{theirs}.{leaf}")
    return found


CARD = """# MaskGIT in PyTorch (valeoai, v1.0)

Converted by `maskmend convert valeoai` from {name} and {tokenizer}: {layers} blocks, {dim} wide.

- Source: valeoai/Halton-MaskGIT, branch v1.0, "A Pytorch Reproduction of Masked Generative Image Transformer"
  (Besnier and Chen 2023); tokenizer of CompVis/taming-transformers. Code and weights: MIT licences.
- Data: ImageNet-1k. The data set's terms allow research and no commercial use; whether they bind what was
  learnt from it is for you to judge.
- What it fills: photographs of {side} x {side} pixels through {grid} x {grid} tokens; without a label, or
  with one of ImageNet's classes (`label=`) and guidance (`guidance=`).
- Trained to fill random tokens, not connected holes: one ring of tokens around the hole is predicted again
  (`ring = 1`).
"""
