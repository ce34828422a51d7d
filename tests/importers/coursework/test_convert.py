"""Checkpoints of the coursework: converted, they compute what they did, or the reason why not is told."""

from functools import partial

import pytest
import torch
from changed_files import (
    CODES,
    HEADS,
    TRANSFORMER,
    VQGAN,
    assert_same_logits,
    assert_same_tokenizer,
    changed,
    pictures,
    put,
    saved,
    twice,
)

from coursework import EachHead, Fused, KeysValues, Separate, Torch, coursework_transformer, coursework_vqgan
from maskmend.errors import ConfigError
from maskmend.importers.coursework.convert import convert_coursework


def converted(tmp_path, vqgan=VQGAN, transformer=TRANSFORMER, *, heads=HEADS, pixels="coursework"):
    first = saved(vqgan.state_dict(), tmp_path / "VQGAN.pt")
    second = saved(transformer.state_dict(), tmp_path / "transformer.pt")
    return convert_coursework(first, second, heads=heads, pixels=pixels)


def test_the_tokenizer_computes_what_theirs_does(tmp_path):
    """Catches weights in each other's place, padding on the other side, another number of groups, a missing
    1x1 convolution, and pixels on another scale."""
    result = converted(tmp_path)
    assert result.notes == ()
    assert_same_tokenizer(result.tokenizer, VQGAN, pictures())


def test_the_layout_is_read_off_the_keys(tmp_path):
    """Catches a layout that is assumed: the coursework halves after its third and fifth stage."""
    config = converted(tmp_path).tokenizer.config
    assert config.encoder_channels == (32, 32, 32, 64, 64, 96)
    assert (config.encoder_blocks, config.downsample_after) == (2, (3, 5))
    assert config.decoder_channels == (96, 64, 64, 32, 32)
    assert (config.decoder_blocks, config.upsample_after) == (3, (1, 3))
    assert not config.decoder_activation
    assert (config.resolution, config.quantizer.codes, config.quantizer.code_dim) == (16, CODES, 8)


def test_another_layout_of_the_family_is_read(tmp_path):
    """Catches a reader of one model only: four halvings, attention within stages, Swish before the end,
    pixels in [-1, 1]."""
    theirs = coursework_vqgan(
        halved_after=(0, 1, 2, 3),
        doubled_after=(3, 2, 1, 0),
        grid=2,
        codes=8,
        swish=True,
    )
    result = converted(tmp_path, theirs, coursework_transformer(codes=8, tokens=4), pixels="signed")
    config = result.tokenizer.config
    assert (config.downsample_after, config.upsample_after) == ((1, 2, 3, 4), (2, 3, 4, 5))
    assert config.decoder_activation
    half = torch.full((3, 1, 1), 0.5)
    assert_same_tokenizer(result.tokenizer, theirs, pictures(32, 8), mean=half, deviation=half)


def separate(*names, **options):
    return partial(Separate, names=names, **options)


ATTENTIONS = {
    "fused": Fused,
    "query, key, value": separate("query", "key", "value", "output_layer"),
    "q_linear": separate("q_linear", "k_linear", "v_linear", "out_linear"),
    "W_q": separate("W_q", "W_k", "W_v", "W_o"),
    "WQ": separate("WQ", "WK", "WV", "Wo"),
    "without biases": separate("query_proj", "key_proj", "value_proj", "output_proj", biased=False),
    "queries": separate("queries", "keys", "values", "proj"),
    "keys with values": KeysValues,
    "PyTorch's": Torch,
    "each head": EachHead,
}


@pytest.mark.parametrize("attention", ATTENTIONS.values(), ids=ATTENTIONS.keys())
def test_the_transformer_computes_what_theirs_does_however_attention_is_written(tmp_path, attention):
    """Catches query and key confused, heads split otherwise, LayerNorm's eps, another position's bias."""
    theirs = coursework_transformer(attention)
    result = converted(tmp_path, transformer=theirs)
    assert (result.transformer.config.layers, result.transformer.config.mlp) == (3, 48)
    assert_same_logits(result.transformer, theirs)
    assert all("no bias beside" in note for note in result.notes)


def test_heads_are_given_or_sixteen_or_the_files(tmp_path):
    """Catches a number of heads that is guessed, or taken against what the file shows."""
    sixteen = coursework_transformer(heads=16)
    assert_same_logits(converted(tmp_path, transformer=sixteen, heads=None).transformer, sixteen)
    each = coursework_transformer(EachHead)
    assert_same_logits(converted(tmp_path, transformer=each, heads=None).transformer, each)
    with pytest.raises(ConfigError, match="--heads 8, but the checkpoint has projections of 4 heads"):
        converted(tmp_path, transformer=each, heads=8)
    with pytest.raises(ConfigError, match="--heads 5 does not divide the width 32"):
        converted(tmp_path, heads=5)


def renamed(old, new):
    return lambda s: s.update({key.replace(old, new): s.pop(key) for key in list(s) if old in key})


def longer(key, dim):
    """One more entry along `dim`."""
    return lambda s: s.update({key: torch.cat([s[key], torch.ones_like(s[key].narrow(dim, 0, 1))], dim)})


@pytest.mark.parametrize(
    ("change", "notes"),
    [
        (lambda s: s.update(pos_emb=s["pos_emb"][None]), 0),
        (renamed("pos_emb", "pos_emb.weight"), 0),
        (longer("pos_emb", 0), 0),
        (twice(longer("tok_emb.weight", 0), longer("bias", 1)), 0),
        (renamed("blocks", "EncoderLayers"), 0),
        (renamed("Attention", "MultiHeadAttention"), 0),
        (twice(put("blocks.0.Attention.scale"), put("head.weight", 2)), 2),
    ],
    ids=[
        "(1, N, dim)",
        "embedding",
        "spare position",
        "spare token",
        "EncoderLayers",
        "long name",
        "unknown",
    ],
)
def test_other_shapes_of_the_same_transformer_are_read(files, tmp_path, change, notes):
    """Catches a reader that takes one student's file only, and keys that vanish without a word."""
    path = saved(changed(TRANSFORMER, change), tmp_path / "changed.pt")
    result = convert_coursework(files[0], path, heads=HEADS)
    assert_same_logits(result.transformer, TRANSFORMER)
    assert len(result.notes) == notes
    assert all(note.endswith("is not used") for note in result.notes)


@pytest.mark.parametrize("bias", ["one for all", "none"])
def test_one_bias_for_all_positions(files, tmp_path, bias):
    """Catches a bias that is read for the first position only."""
    theirs = coursework_transformer()
    theirs.bias.data = theirs.bias.data[:1] if bias == "one for all" else torch.zeros(1, CODES + 1)
    state = dict(theirs.state_dict(), bias=theirs.bias[0])
    if bias == "none":
        del state["bias"]
    result = convert_coursework(files[0], saved(state, tmp_path / "changed.pt"), heads=HEADS)
    assert result.transformer.bias.shape == (CODES,)
    assert_same_logits(result.transformer, theirs)


@pytest.mark.parametrize("wrapper", ["model", "transformer_state_dict", "state_dict", "anything"])
def test_wrapped_state_dicts_are_found(files, tmp_path, wrapper):
    """Catches a file that only its own code can read, and an optimizer that vanishes without a word."""
    content = {"epoch": 3, wrapper: TRANSFORMER.state_dict(), "optimizer": {"state": {0: {"step": 1}}}}
    result = convert_coursework(files[0], saved(content, tmp_path / "wrapped.pt"), heads=HEADS)
    assert_same_logits(result.transformer, TRANSFORMER)
    assert [note.partition(": ")[2] for note in result.notes] == [
        f"'epoch' beside '{wrapper}', left out",
        f"'optimizer' beside '{wrapper}', left out",
    ]


@pytest.mark.parametrize("prefix", ["transformer.", "module.", "module.transformer."])
def test_prefixes_are_taken_off(files, tmp_path, prefix):
    """Catches a checkpoint of the whole model, or of one that several devices trained."""
    content = {prefix + key: value for key, value in TRANSFORMER.state_dict().items()}
    result = convert_coursework(files[0], saved(content, tmp_path / "prefixed.pt"), heads=HEADS)
    assert_same_logits(result.transformer, TRANSFORMER)
    assert result.notes == ()


def test_one_file_may_hold_both(tmp_path):
    """Catches a whole model's checkpoint that has to be taken apart by hand first."""
    content = {f"vqgan.{key}": value for key, value in VQGAN.state_dict().items()}
    content |= {f"transformer.{key}": value for key, value in TRANSFORMER.state_dict().items()}
    path = saved(content, tmp_path / "whole.pt")
    result = convert_coursework(path, path, heads=HEADS)
    assert_same_tokenizer(result.tokenizer, VQGAN, pictures())
    assert_same_logits(result.transformer, TRANSFORMER)
    here, there = len(VQGAN.state_dict()), len(TRANSFORMER.state_dict())
    assert result.notes == (
        f"{path}: {there} keys under 'transformer' are of another part, left out",
        f"{path}: {here} keys under 'vqgan' are of another part, left out",
    )


def test_plain_normalisations_and_other_names_of_attention_norms_are_read(files, tmp_path):
    """Catches a reader that needs the wrappers around the normalisations."""
    state = {
        key.replace(".norm.gn.", ".gn.gn.")
        .replace("block.0.gn", "block.0")
        .replace("block.3.gn", "block.3"): value
        for key, value in VQGAN.state_dict().items()
    }
    result = convert_coursework(saved(state, tmp_path / "changed.pt"), files[1], heads=HEADS)
    assert_same_tokenizer(result.tokenizer, VQGAN, pictures())
    assert result.notes == ()


def test_a_model_keeps_no_more_than_its_weights(tmp_path):
    """Catches query, key and value that each keep the tensor of all three, and a tokenizer held twice."""
    result = converted(tmp_path)
    for module in (result.tokenizer, result.transformer):
        storages = {value.untyped_storage().data_ptr(): value for value in module.state_dict().values()}
        assert len(storages) == len(module.state_dict())
        assert all(value.untyped_storage().nbytes() == value.nbytes for value in storages.values())
        assert not any(value.is_meta for value in (*module.buffers(), *module.parameters()))
