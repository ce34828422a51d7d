"""`maskmend pack` and `maskmend weights`: models put together, weights taken from files."""

import copy
import hashlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
from command_line import assert_refused, invoke
from safetensors.numpy import load_file

from fakes import tiny_models
from maskmend.perceptual import weights
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.component import save_tokenizer, save_transformer
from maskmend.pretrained.hashes import tokens_hash
from maskmend.settings import Settings


def test_pack_makes_a_model_of_two_parts(inpaint, tmp_path):
    """Catches a packed model that lost its default settings or its precision, or overwrites another."""
    tokenizer, transformer = tiny_models()
    save_tokenizer(tokenizer, tmp_path / "run1" / "tokenizer")
    save_transformer(transformer, tmp_path / "run2" / "transformer")
    command = ["pack", str(tmp_path / "run1"), str(tmp_path / "run2"), "-o", str(tmp_path / "model")]
    assert_refused(invoke([*command, "--set", "stpes=3"]), "stpes", "did you mean 'steps'")
    result = invoke([*command, "--set", "steps=3", "--full"])
    assert result.exit_code == 0, result.output
    assert f"--model {tmp_path / 'model'}" in result.stdout
    assert InpaintPipeline.from_pretrained(tmp_path / "model").defaults == Settings(steps=3)
    assert_refused(invoke(command), "already holds a model")
    assert inpaint(model=tmp_path / "model").exit_code == 0


def test_pack_refuses_parts_that_never_met(tmp_path):
    """Catches a model of grey smears: a transformer joined with a tokenizer whose tokens it never saw. A
    decoder trained anew over the same encoder and codebook is no other tokenizer."""
    own, transformer = tiny_models()
    redrawn, other = (copy.deepcopy(own) for _ in range(2))
    redrawn.decoder.conv_out.weight.data += 1
    other.quantizer.codebook += 1
    for name, tokenizer in (("own", own), ("redrawn", redrawn), ("other", other)):
        save_tokenizer(tokenizer, tmp_path / name / "tokenizer")
    save_transformer(transformer, tmp_path / "run" / "transformer", tokens=tokens_hash(own))
    for name in ("own", "redrawn", "other"):
        result = invoke(
            ["pack", str(tmp_path / name), str(tmp_path / "run"), "-o", str(tmp_path / f"m-{name}")]
        )
        if name == "other":
            words = ["tokens of another tokenizer", str(tmp_path / "other"), str(tmp_path / "run")]
            assert_refused(result, *words)
        else:
            assert result.exit_code == 0, result.output
    again = ["pack", str(tmp_path / "other"), str(tmp_path / "m-own"), "-o", str(tmp_path / "m-again")]
    assert_refused(invoke(again), "tokens of another tokenizer")


def test_unknown_weights_are_refused():
    assert_refused(invoke(["weights", "fetch", "lpips"]), "weights = 'lpips'", "did you mean 'lpips-vgg16'")


def test_weights_come_from_a_file_without_a_network(tmp_path, monkeypatch):
    """Catches --from that downloads all the same, or that takes one file for all names."""
    content = pickle.dumps({"NetLinLayer_0": {"Conv_0": {"kernel": np.ones((1, 1, 2, 1), np.float32)}}})
    own, cache = tmp_path / "vgg16.ckpt", tmp_path / "cache"
    own.write_bytes(content)
    monkeypatch.setenv("MASKMEND_CACHE", str(cache))
    monkeypatch.setattr(weights, "_download", lambda *given: pytest.fail("downloaded"))
    command = ["weights", "fetch", "lpips-vgg16", "--from", str(own)]
    assert_refused(invoke(command), "not the published weights")
    source = weights.SOURCES["lpips-vgg16"]
    published = replace(source, member_sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(weights.SOURCES, "lpips-vgg16", published)
    for few_or_many in (["weights", "fetch"], ["weights", "fetch", "inception", "lpips-vgg16"]):
        assert_refused(invoke([*few_or_many, "--from", str(own)]), "--from", "give the one it holds")
    assert not cache.exists()
    result = invoke(command)
    assert result.exit_code == 0, result.output
    stored = cache / "weights" / "lpips-vgg16.safetensors"
    assert f"lpips-vgg16: {stored}" in result.stdout
    assert load_file(stored)["heads.0"].tolist() == [1, 1]
