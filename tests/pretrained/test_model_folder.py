"""The model folder: what is written comes back, and anything else is refused with what to do."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from maskmend.errors import ModelError, OutputError
from maskmend.models.quantizer import QuantizerConfig
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.transformer import MaskedTransformer, TransformerConfig
from maskmend.models.vqgan import VQGAN
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained import folder as model_folder
from maskmend.pretrained.component import (
    learnt_tokens,
    load_tokenizer,
    load_transformer,
    save_tokenizer,
    save_transformer,
)
from maskmend.pretrained.folder import load_model, save_model
from maskmend.pretrained.hashes import tokens_hash
from maskmend.pretrained.json_files import read_json, write_json


def a_tokenizer(update="ema"):
    config = TokenizerConfig(
        resolution=8,
        encoder_channels=(4, 4, 8),
        encoder_blocks=1,
        downsample_after=(1,),
        decoder_channels=(8, 4),
        decoder_blocks=1,
        upsample_after=(1,),
        quantizer=QuantizerConfig(codes=5, code_dim=3, update=update),
    )
    return VQGAN(config)


def a_transformer():
    return MaskedTransformer(TransformerConfig(codes=5, grid=4, dim=8, heads=2, layers=1, mlp=8))


@pytest.fixture
def folder(tmp_path):
    """A tokenizer's folder."""
    save_tokenizer(a_tokenizer(), tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def edit(folder, change):
    """Applies `change` to config.json."""
    path = folder / "config.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_weights(folder, change):
    """Applies `change` to the weights."""
    weights = load_file(folder / "weights.safetensors")
    change(weights)
    save_file(weights, folder / "weights.safetensors")


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_tokenizer_goes_round(tmp_path, update):
    """Catches weights that are lost, or settings that come back as another type."""
    model = a_tokenizer(update)
    save_tokenizer(model, tmp_path / "a" / "b")
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["config.json", "weights.safetensors"]
    again = load_tokenizer(tmp_path / "a" / "b")
    assert again.config == model.config
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(again.encode(images), model.eval().encode(images))


def test_transformer_goes_round(tmp_path):
    """Catches weights tied or dropped by the format: logits would differ."""
    model = a_transformer()
    save_transformer(model, tmp_path)
    again = load_transformer(tmp_path)
    assert again.config == model.config
    tokens, hole = torch.full((1, 16), 5), torch.ones(1, 16, dtype=torch.bool)
    assert torch.equal(again(tokens, hole), model.eval()(tokens, hole))


def test_a_transformer_says_whose_tokens_it_learnt(tmp_path):
    """Catches a hash that packing loses or changes, and a folder of before that no longer loads."""
    save_transformer(a_transformer(), tmp_path / "old")
    assert learnt_tokens(tmp_path / "old") is None
    load_transformer(tmp_path / "old")
    tokenizer = a_tokenizer()
    save_transformer(a_transformer(), tmp_path / "new", tokens=tokens_hash(tokenizer))
    load_transformer(tmp_path / "new")
    save_model(tokenizer, a_transformer(), {}, tmp_path / "packed", torch.float16)
    load_model(tmp_path / "packed")
    for folder in (tmp_path / "new", tmp_path / "packed" / "transformer"):
        assert learnt_tokens(folder) == tokens_hash(load_tokenizer(tmp_path / "packed" / "tokenizer"))


def test_half_precision_is_widened_on_loading(tmp_path):
    """Catches fp16 weights that stay fp16 (slow on CPUs), and weights that are not narrowed."""
    model = a_transformer()
    save_transformer(model, tmp_path / "full")
    save_transformer(model, tmp_path / "half", torch.float16)
    half, full = (load_file(tmp_path / name / "weights.safetensors") for name in ("half", "full"))
    assert 2 * sum(v.nbytes for v in half.values()) == sum(v.nbytes for v in full.values())
    again = load_transformer(tmp_path / "half").state_dict()
    for name, value in model.state_dict().items():
        assert again[name].dtype == torch.float32
        assert torch.equal(again[name], value.half().float()), name


def test_whole_model_goes_round(tmp_path):
    """Catches components in each other's place, and defaults of None that settings cannot hold."""
    save_model(a_tokenizer(), a_transformer(), {"steps": 12, "top_k": None}, tmp_path / "model")
    tokenizer, transformer, defaults = load_model(tmp_path / "model")
    assert isinstance(tokenizer, VQGAN)
    assert isinstance(transformer, MaskedTransformer)
    assert defaults == {"steps": 12}


def test_all_may_read_what_is_written(folder):
    """Catches weights that only their owner can read, in a folder meant to be shared."""
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask, path.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(format=3),
            r"config\.json has format 3, this version reads up to 2: upgrade maskmend",
        ),
        (lambda c: c.update(format="1"), "format '1', expected 1 to 2: is this a maskmend model folder"),
        (lambda c: c.update(format=True), "format True, expected 1"),
        (lambda c: c.pop("format"), "format None, expected 1 to 2: is this a maskmend model folder"),
        (lambda c: c.update(kind="upscaler"), "kind 'upscaler', expected 'tokenizer': give another folder"),
        (lambda c: c.update(confg={}), r"unknown key 'confg' \(did you mean 'config'\?\): remove it"),
        (lambda c: c.pop("config"), 'no "config": copy the model folder again'),
        (
            lambda c: c.update(config=[]),
            r"config\.json: TokenizerConfig: expected a table of settings, got \[\]",
        ),
        (
            lambda c: c["config"].update(resolutoin=8),
            r"unknown setting 'resolutoin' \(did you mean 'resolution'\?\)",
        ),
        (lambda c: c["config"].update(resolution="8"), "resolution = '8': give a whole number"),
        (lambda c: c["config"].update(resolution=7), "resolution=7: choose a multiple of the factor 2"),
        (lambda c: c["config"]["quantizer"].update(codes=1), "codes=1.*choose at least 2"),
    ],
)
def test_config_that_does_not_fit_is_refused(folder, change, message):
    """Catches a folder of another kind or version that loads as something it is not."""
    edit(folder, change)
    with pytest.raises(ModelError, match=message):
        load_tokenizer(folder)


def test_component_of_another_kind_is_refused(folder):
    """Catches a tokenizer taken for a transformer."""
    with pytest.raises(ModelError, match="kind 'tokenizer', expected 'transformer': give another folder"):
        load_transformer(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.update(extra=torch.zeros(1)), "unknown extra"),
        (lambda w: w.pop("quantizer.codebook"), r"missing quantizer\.codebook"),
        (
            lambda w: w.update({"quantizer.codebook": torch.zeros(6, 3)}),
            r"quantizer\.codebook has shape \(6, 3\), config\.json says \(5, 3\)",
        ),
        (lambda w: w.clear(), r"missing decoder.*; and \d+ more"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, message):
    """Catches weights that are left out or ignored in silence: the model would draw noise."""
    edit_weights(folder, change)
    with pytest.raises(ModelError, match=f"does not fit its config.json: .*{message}.*copy both files again"):
        load_tokenizer(folder)


def test_settings_of_other_weights_are_refused(folder):
    """Catches a config.json that was edited by hand."""
    edit(folder, lambda c: c["config"].update(decoder_blocks=2))
    with pytest.raises(ModelError, match=r"missing decoder\.stages"):
        load_tokenizer(folder)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.5, 0.999])
def test_truncated_weights_are_refused(folder, share):
    """Catches a download that broke off, reported as anything but that."""
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match=r"cannot read .*weights\.safetensors.*copy the model folder again"):
        load_tokenizer(folder)


def test_nothing_is_unpickled(folder):
    """Catches weights of a stranger that run a stranger's code."""
    mark = folder / "mark"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (mark,)

    (folder / "weights.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="cannot read"):
        load_tokenizer(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read .*copy the model folder again"),
        (b'{"format": 1', "cannot read .*copy the model folder again"),
        (b'{"format": "\xff"}', "cannot read .*copy the model folder again"),
        (b"[" * 200_000, "cannot read .*copy the model folder again"),
        (b'{"format": ' + b"9" * 10_000 + b"}", "cannot read .*copy the model folder again"),
        (b"[1]", "holds list, expected an object: is this a maskmend model folder"),
    ],
    ids=["empty", "broken off", "not utf-8", "deep", "many digits", "a list"],
)
def test_damaged_json_is_refused(folder, content, message):
    """Catches errors of the JSON reader that reach the user raw."""
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_tokenizer(folder)


def test_missing_files_are_named(folder, tmp_path):
    """Catches a bare FileNotFoundError, which says nothing about what was expected."""
    with pytest.raises(ModelError, match=r"no config\.json in .*nowhere: is this a maskmend model folder"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"cannot read .*config\.json"):
        load_tokenizer(folder / "config.json")  # a file where the folder should be
    with pytest.raises(ModelError, match=r"no model_index\.json in .*: is this a maskmend model folder"):
        load_model(tmp_path)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights\.safetensors in .*incomplete"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, r"model_index\.json has format 9.*upgrade maskmend"),
        ({"kind": "tokenizer"}, "kind 'tokenizer', expected 'maskmend'"),
        ({"defaults": 3}, '"defaults" is 3, expected an object'),
        ({"default": {}}, r"unknown key 'default' \(did you mean 'defaults'\?\)"),
    ],
)
def test_index_that_does_not_fit_is_refused(tmp_path, change, message):
    """Catches a model of another kind or version that is loaded by its parts."""
    save_model(a_tokenizer(), a_transformer(), {}, tmp_path)
    path = tmp_path / "model_index.json"
    write_json(path, read_json(path) | change)
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path)


def test_unfinished_model_is_seen_as_one(tmp_path, monkeypatch):
    """Catches an index written before its parts: a folder broken off midway would look whole."""

    def fail(*args):
        raise ModelError("full")

    monkeypatch.setattr(model_folder, "save_transformer", fail)
    with pytest.raises(ModelError, match="full"):
        save_model(a_tokenizer(), a_transformer(), {}, tmp_path)
    assert not (tmp_path / "model_index.json").exists()


def test_place_that_cannot_be_written_is_refused(tmp_path):
    """Catches a bare NotADirectoryError or FileExistsError."""
    (tmp_path / "file").write_text("no folder")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match=r"cannot write .*check the folder"):
            save_tokenizer(a_tokenizer(), place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_card_stays_with_the_model(tiny_pipeline, tmp_path):
    """Catches a model saved again without its card."""
    tiny_pipeline.save_pretrained(tmp_path / "bare")
    pipe = InpaintPipeline.from_pretrained(tmp_path / "bare")
    assert pipe.card is None
    pipe.card = "# A card"
    pipe.save_pretrained(tmp_path / "first")
    InpaintPipeline.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
    assert (tmp_path / "second" / "README.md").read_text() == "# A card"


def test_tokens_hash_outlives_half_precision_and_ignores_the_decoder(tmp_path):
    """Catches a packed tokenizer taken for another one, and another one taken for the same."""
    model = a_tokenizer()
    save_tokenizer(model, tmp_path, torch.float16)
    packed = load_tokenizer(tmp_path)
    assert tokens_hash(packed) == tokens_hash(model)
    packed.quantizer.codebook += 0.1
    assert tokens_hash(packed) != tokens_hash(model)


def test_float32_weights_are_used_where_the_file_lies(tmp_path):
    """Catches a copy of all weights on loading, and a mapped file that is spoilt by what is done to them."""
    save_transformer(a_transformer(), tmp_path)
    file = tmp_path / "weights.safetensors"
    before = file.read_bytes()
    model = load_transformer(tmp_path)
    addresses = sorted(value.untyped_storage().data_ptr() for value in model.state_dict().values())
    assert addresses[-1] - addresses[0] < len(before), "scattered over the memory: not the file"
    model.bias += 1
    assert file.read_bytes() == before
