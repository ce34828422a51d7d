"""MAGE checkpoints (LTH14/mage, MIT): one file holds the network and its tokenizer.

    ["model"]: token_emb, blocks, norm, decoder_*, mlm_layer, vqgan.{encoder, decoder, quantize}

Weights used in pre-training only are left out: patch_embed, the fixed position tables, decoder_pred. The
number of attention heads cannot be inferred from the tensors; those of the two published widths are known.
"""

from collections.abc import Callable
from functools import partial
from math import isqrt
from pathlib import Path

from torch import Tensor

from maskmend.errors import ConfigError, ModelError
from maskmend.importers.source import Source, read_source
from maskmend.importers.vqgan_layout import GOOGLE_VQGAN, read_layout
from maskmend.importers.vqgans import convert_vqgan
from maskmend.importers.writing import Conversion, built_empty
from maskmend.models.mage import Mage, MageConfig

WHAT = "a MAGE checkpoint (LTH14/mage, such as mage-vitb-1600.pth)"
CLASSES = 1000
CLASS_TOKEN = 76
"""Rows of the embedding after the codes: the classes, of which the constant token is number 76, and the
mask."""
HEADS = {768: 12, 1024: 16}
"""By the encoder's width, as published; the decoder has 16."""
DECODER_HEADS = 16
UNUSED = (
    r"cls_token$", r"pos_embed$", r"mask_token$", r"patch_embed\.", r"decoder_pos_embed$", r"decoder_pred\.",
    r"token_emb\.position_ids$", r"vqgan\.loss\.",
)  # fmt: skip
DEFAULTS = {"steps": 12, "noise": 4.5, "ring": 1}


def convert_mage(checkpoint: Path | str, *, heads: int | None = None) -> Conversion:
    """Reads a checkpoint of MAGE, base or large.

    Args:
        checkpoint: the file, with the tokenizer in it.
        heads: of the encoder's attention, for a width that is not a published one.

    Raises ModelError where the file is not one, ConfigError for invalid `heads`.
    """
    source = read_source(Path(checkpoint), "token_emb.word_embeddings.weight", WHAT).without(*UNUSED)
    words = source.part("vqgan.")
    layout = read_layout(words, GOOGLE_VQGAN)
    config = _config(source, layout.codes, heads)
    _check(source, config)
    tokenizer = convert_vqgan(words, layout, layout.factor * config.grid, "the tokenizer of " + WHAT)
    return Conversion(
        tokenizer=tokenizer,
        model=built_empty(Mage, config),
        weights=_weights(source, config),
        defaults=DEFAULTS,
        card=CARD.format(layers=config.layers, dim=config.dim, name=Path(checkpoint).name),
    )


def _config(source: Source, codes: int, heads: int | None) -> MageConfig:
    words, dim = source.shape("token_emb.word_embeddings.weight")
    length = source.shape("token_emb.position_embeddings.weight")[0]
    decoder_dim = source.shape("decoder_embed.weight")[0]
    grid = isqrt(length - 1)
    if words != codes + CLASSES + 1 or grid**2 + 1 != length:
        raise ModelError(
            f"{source.path}: {words} rows of token_emb and {length} positions do not belong to {codes} "
            f"codes, {CLASSES} classes and a square picture: give {WHAT}"
        )
    if heads is None and dim not in HEADS:
        raise ConfigError(
            f"{source.path} is {dim} wide, no published MAGE: give its number of heads with --heads"
        )
    return MageConfig(
        codes=codes,
        grid=grid,
        dim=dim,
        heads=heads or HEADS[dim],
        layers=source.count(r"blocks\.(\d+)\."),
        mlp=source.shape("blocks.0.mlp.fc1.weight")[0],
        decoder_dim=decoder_dim,
        decoder_heads=DECODER_HEADS,
        decoder_layers=source.count(r"decoder_blocks\.(\d+)\."),
        decoder_mlp=source.shape("decoder_blocks.0.mlp.fc1.weight")[0],
    )


def _check(source: Source, config: MageConfig) -> None:
    """All but the tokenizer, which checks itself."""
    dim, narrow, length = config.dim, config.decoder_dim, config.grid**2 + 1
    words = config.codes + CLASSES + 1
    expected: dict[str, tuple[int, ...]] = {
        "token_emb.word_embeddings.weight": (words, dim),
        "token_emb.position_embeddings.weight": (length, dim),
        "decoder_embed.weight": (narrow, dim),
        "decoder_embed.bias": (narrow,),
        "decoder_pos_embed_learned": (1, length, narrow),
        "mlm_layer.fc.weight": (dim, narrow),
        "mlm_layer.fc.bias": (dim,),
        "mlm_layer.bias": (1, 1, words),
    }
    norms = {"token_emb.LayerNorm": dim, "norm": dim, "decoder_norm": narrow, "mlm_layer.ln": dim}
    for stack, width, mlp, layers in (
        ("blocks", dim, config.mlp, config.layers),
        ("decoder_blocks", narrow, config.decoder_mlp, config.decoder_layers),
    ):
        for n in range(layers):
            name = f"{stack}.{n}"
            norms |= {f"{name}.norm1": width, f"{name}.norm2": width}
            for part, inner, outer in (
                ("attn.qkv", width, 3 * width),
                ("attn.proj", width, width),
                ("mlp.fc1", width, mlp),
                ("mlp.fc2", mlp, width),
            ):
                expected |= {f"{name}.{part}.weight": (outer, inner), f"{name}.{part}.bias": (outer,)}
    for name, width in norms.items():
        expected |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    source.without(r"vqgan\.").check(expected, WHAT)


def _weights(source: Source, config: MageConfig) -> dict[str, Callable[[], Tensor]]:
    take, codes = source.take, config.codes
    words = "token_emb.word_embeddings.weight"
    mask = codes + CLASSES
    found: dict[str, Callable[[], Tensor]] = {
        "token_embedding.weight": lambda: take(words)[[*range(codes), mask]],
        "class_embedding": lambda: take(words)[codes + CLASS_TOKEN],
        "position_embedding": lambda: take("token_emb.position_embeddings.weight"),
        "decoder_positions": lambda: take("decoder_pos_embed_learned")[0],
        "bias": lambda: take("mlm_layer.bias")[0, 0, :codes],
    }
    pairs = {
        "embedding_norm": "token_emb.LayerNorm", "norm": "norm", "narrow": "decoder_embed",
        "decoder_norm": "decoder_norm", "head.0": "mlm_layer.fc", "head.2": "mlm_layer.ln",
    }  # fmt: skip
    for stack, layers in (("blocks", config.layers), ("decoder_blocks", config.decoder_layers)):
        for n in range(layers):
            name = f"{stack}.{n}"
            pairs |= {f"{name}.{part}": f"{name}.{part}" for part in ("norm1", "norm2")}
            pairs |= {f"{name}.attention.out": f"{name}.attn.proj"}
            pairs |= {f"{name}.mlp.0": f"{name}.mlp.fc1", f"{name}.mlp.2": f"{name}.mlp.fc2"}
            for third, part in enumerate(("query", "key", "value")):
                for leaf in ("weight", "bias"):
                    key = f"{name}.attn.qkv.{leaf}"
                    found[f"{name}.attention.{part}.{leaf}"] = partial(source.third, key, third)
    for ours, theirs in pairs.items():
        for leaf in ("weight", "bias"):
            found[f"{ours}.{leaf}"] = partial(take, f"{theirs}.{leaf}")
    return found


CARD = """# MAGE

Converted by `maskmend convert mage` from {name}: {layers} encoder blocks, {dim} wide.

- Source: LTH14/mage, "MAGE: MAsked Generative Encoder to Unify Representation Learning and Image Synthesis"
  (Li et al. 2023). Code and weights: MIT licence.
- Data: ImageNet-1k without labels. The data set's terms allow research and no commercial use; whether they
  bind what was learnt from it is for you to judge.
- What it fills: photographs of 256 x 256 pixels through 16 x 16 tokens, without a label.
- Trained to fill random tokens, not connected holes, and without a hint of what surrounds a cut cell: one
  ring of tokens around the hole is predicted again (`ring = 1`).
"""
