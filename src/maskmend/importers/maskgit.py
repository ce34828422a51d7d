"""Google's MaskGIT checkpoints (google-research/maskgit, Apache-2.0): flax files, read without flax.

    maskgit_imagenet256_checkpoint     params/{Embed_0, TransformerLayer_i, MlmLayer_0}
    tokenizer_imagenet256_checkpoint   params/{encoder, decoder, quantizer}

Rows of the word embedding: the codes, the classes, and the mask, which the code calls -1. Flax numbers the
layers of a module in the order of their calls, and lays kernels out as (height, width, in, out).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isqrt
from pathlib import Path

from torch import Tensor

from maskmend.errors import ModelError
from maskmend.importers.source import Source, read_source
from maskmend.importers.vqgan_layout import GOOGLE_VQGAN, Layout, places, read_layout
from maskmend.importers.vqgans import convert_vqgan
from maskmend.importers.writing import Conversion, built_empty, class_conditional
from maskmend.models.class_token import GoogleConfig, GoogleMaskgit
from maskmend.storage.lazy_tensor import LazyTensor

WHAT = "a checkpoint of Google's MaskGIT (such as maskgit_imagenet256_checkpoint)"
TOKENIZER_WHAT = "the tokenizer of Google's MaskGIT (such as tokenizer_imagenet256_checkpoint)"
WORDS = "params/Embed_0/word_embeddings/embedding"
CODEBOOK = "params/quantizer/codebook"
LABELS = 1000
DEFAULTS = {"steps": 12, "noise": 4.5, "ring": 1, "label": "auto"}


def convert_maskgit(transformer: Path | str, tokenizer: Path | str) -> Conversion:
    """Reads the network's checkpoint and the tokenizer's, of the same image size.

    Args:
        transformer: maskgit_imagenet256_checkpoint or maskgit_imagenet512_checkpoint.
        tokenizer: tokenizer_imagenet256_checkpoint or tokenizer_imagenet512_checkpoint.

    Raises ModelError where a file is not one.
    """
    source = read_source(Path(transformer), WORDS, WHAT)
    words = renamed_tokenizer(read_source(Path(tokenizer), CODEBOOK, TOKENIZER_WHAT))
    layout = read_layout(words, GOOGLE_VQGAN)
    config = _config(source, layout.codes)
    source.check(_expected(config), WHAT)
    made = convert_vqgan(words, layout, layout.factor * config.grid, TOKENIZER_WHAT)
    model = built_empty(GoogleMaskgit, config)
    files, weights = (transformer, tokenizer), _weights(source, config)
    return class_conditional(files, made, model, weights, defaults=DEFAULTS, card=CARD)


def _config(source: Source, codes: int) -> GoogleConfig:
    rows, dim = source.shape(WORDS)
    length = source.shape("params/Embed_0/position_embeddings/embedding")[0]
    grid = isqrt(length - 1)
    if rows != codes + LABELS + 1 or grid**2 + 1 != length:
        raise ModelError(
            f"{source.path}: {rows} words and {length} positions do not belong to {codes} codes, {LABELS} "
            f"classes and a square picture: give {WHAT}, and its tokenizer"
        )
    attention = "params/TransformerLayer_0/Attention_0/self_attention/query/kernel"
    return GoogleConfig(
        codes=codes,
        grid=grid,
        dim=dim,
        heads=source.shape(attention)[1],
        layers=source.count(r"params/TransformerLayer_(\d+)/"),
        mlp=source.shape("params/TransformerLayer_0/Mlp_0/intermediate_output/bias")[0],
        labels=LABELS,
    )


def _expected(config: GoogleConfig) -> dict[str, tuple[int, ...]]:
    dim, mlp, rows = config.dim, config.mlp, config.codes + config.labels + 1
    split = (config.heads, dim // config.heads)
    found: dict[str, tuple[int, ...]] = {
        WORDS: (rows, dim),
        "params/Embed_0/position_embeddings/embedding": (config.grid**2 + 1, dim),
        "params/MlmLayer_0/mlm_dense/kernel": (dim, dim),
        "params/MlmLayer_0/mlm_dense/bias": (dim,),
        "params/MlmLayer_0/mlm_bias/bias": (rows,),
    }
    norms = ["params/Embed_0/embeddings_ln", "params/MlmLayer_0/mlm_ln"]
    for n in range(config.layers):
        name = f"params/TransformerLayer_{n}"
        attention = f"{name}/Attention_0/self_attention"
        for part in ("query", "key", "value"):
            found |= {f"{attention}/{part}/kernel": (dim, *split), f"{attention}/{part}/bias": split}
        found |= {f"{attention}/out/kernel": (*split, dim), f"{attention}/out/bias": (dim,)}
        for part, inner, outer in (("intermediate_output", dim, mlp), ("layer_output", mlp, dim)):
            found |= {f"{name}/Mlp_0/{part}/kernel": (inner, outer), f"{name}/Mlp_0/{part}/bias": (outer,)}
        norms += [f"{name}/Attention_0/attention_output_ln", f"{name}/Mlp_0/layer_output_ln"]
    for name in norms:
        found |= {f"{name}/scale": (dim,), f"{name}/bias": (dim,)}
    return found


def _weights(source: Source, config: GoogleConfig) -> dict[str, Callable[[], Tensor]]:
    take, codes, dim = source.take, config.codes, config.dim
    found: dict[str, Callable[[], Tensor]] = {
        "token_embedding.weight": lambda: take(WORDS)[[*range(codes), codes + config.labels]],
        "class_embedding.weight": lambda: take(WORDS)[codes : codes + config.labels],
        "position_embedding": partial(take, "params/Embed_0/position_embeddings/embedding"),
        "bias": lambda: take("params/MlmLayer_0/mlm_bias/bias")[:codes],
    }
    norms = {"embedding_norm": "params/Embed_0/embeddings_ln", "head.2": "params/MlmLayer_0/mlm_ln"}
    linears = {"head.0": "params/MlmLayer_0/mlm_dense"}
    for n in range(config.layers):
        ours, theirs = f"blocks.{n}", f"params/TransformerLayer_{n}"
        norms |= {f"{ours}.norm1": f"{theirs}/Attention_0/attention_output_ln"}
        norms |= {f"{ours}.norm2": f"{theirs}/Mlp_0/layer_output_ln"}
        for part in ("query", "key", "value", "out"):
            linears |= {f"{ours}.attention.{part}": f"{theirs}/Attention_0/self_attention/{part}"}
        linears |= {f"{ours}.mlp.0": f"{theirs}/Mlp_0/intermediate_output"}
        linears |= {f"{ours}.mlp.2": f"{theirs}/Mlp_0/layer_output"}
    for ours, theirs in norms.items():
        found |= {f"{ours}.weight": partial(take, f"{theirs}/scale")}
        found |= {f"{ours}.bias": partial(take, f"{theirs}/bias")}
    for ours, theirs in linears.items():
        inner = config.mlp if ours.endswith("mlp.2") else dim
        found |= {f"{ours}.weight": partial(_kernel, source, f"{theirs}/kernel", inner)}
        found |= {f"{ours}.bias": partial(_flat, source, f"{theirs}/bias")}
    return found


def _kernel(source: Source, key: str, inner: int) -> Tensor:
    """A kernel (in, out), with heads apart or not, as a weight (out, in)."""
    return source.take(key).reshape(inner, -1).T


def _flat(source: Source, key: str) -> Tensor:
    return source.take(key).flatten()


def renamed_tokenizer(source: Source) -> Source:
    """The tokenizer's tensors by taming's names, and its kernels as PyTorch lays them out."""
    theirs = _tokenizer_names(source)
    names = {flax: ours for ours, flax in theirs.items()}
    found: dict[str, LazyTensor] = {}
    for key, tensor in source.tensors.items():
        name = names.get(key, key)
        found[name] = _turned(tensor) if len(tensor.shape) == 4 else tensor
    return Source(source.path, found, source.prefix, theirs)


def _turned(tensor: LazyTensor) -> LazyTensor:
    height, width, inner, outer = tensor.shape
    return LazyTensor(
        (outer, inner, height, width), tensor.dtype, lambda: tensor.read().permute(3, 2, 0, 1).contiguous()
    )


def _tokenizer_names(source: Source) -> dict[str, str]:
    """Taming's name of each tensor: flax's. Modules are numbered by kind, in the order of their calls."""
    names = {"quantize.embedding.weight": CODEBOOK}
    for side in ("encoder", "decoder"):
        layout = _shape_of(source)
        counts = {"Conv": 0, "GroupNorm": 0, "ResBlock": 0}
        for place in places(layout):
            if not place.theirs.startswith(side):
                continue
            kind = {"conv": "Conv", "norm": "GroupNorm", "block": "ResBlock"}[place.kind]
            flax = f"params/{side}/{kind}_{counts[kind]}"
            counts[kind] += 1
            if kind == "ResBlock":
                inside = {"GroupNorm_0": "norm1", "Conv_0": "conv1", "GroupNorm_1": "norm2",
                          "Conv_1": "conv2", "Conv_2": "nin_shortcut"}  # fmt: skip
                for theirs, ours in inside.items():
                    names |= _leaves(f"{place.theirs}.{ours}", f"{flax}/{theirs}")
            else:
                names |= _leaves(place.theirs, flax)
    return names


def _leaves(ours: str, flax: str) -> dict[str, str]:
    weight = "scale" if "GroupNorm" in flax.rpartition("/")[2] else "kernel"
    return {f"{ours}.weight": f"{flax}/{weight}", f"{ours}.bias": f"{flax}/bias"}


def _shape_of(source: Source) -> Layout:
    """The numbers of stages and of blocks per stage of the tokenizer.

    It halves the resolution once for each stage but one.
    The numbers of blocks alone are ambiguous; together with the decoder's convolutions, one for each
    upsampling, they determine both.
    """
    convolutions = source.count(r"params/decoder/Conv_(\d+)/")
    stages = convolutions - 1
    blocks = source.count(r"params/encoder/ResBlock_(\d+)/")
    if stages < 1 or blocks % (stages + 1):
        raise ModelError(f"{source.path} has {blocks} blocks in {stages} stages: give {TOKENIZER_WHAT}")
    each = blocks // (stages + 1)
    return replace(GOOGLE_VQGAN, multipliers=(1,) * stages, blocks=each, decoder_blocks=each)


CARD = """# MaskGIT

Converted by `maskmend convert maskgit` from {name} and {tokenizer}: {layers} blocks, {dim} wide.

- Source: google-research/maskgit, "MaskGIT: Masked Generative Image Transformer" (Chang et al. 2022). Code
  and weights: Apache-2.0.
- Data: ImageNet-1k. The data set's terms allow research and no commercial use; whether they bind what was
  learnt from it is for you to judge.
- What it fills: photographs of {side} x {side} pixels through {grid} x {grid} tokens, with one of ImageNet's
  classes (`label=`). It was never trained without one: `label = "auto"` fills with several and keeps the
  likeliest.
- Trained to fill random tokens, not connected holes: one ring of tokens around the hole is predicted again
  (`ring = 1`).
"""
