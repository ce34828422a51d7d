"""A conversion holds one tensor of the network at a time, and leaves a whole model or nothing."""

import gc
import weakref

import pytest
import torch

import restated_mage
from maskmend.errors import ModelError, OutputError
from maskmend.importers import costs
from maskmend.importers.mage import convert_mage
from maskmend.importers.source import Source
from maskmend.importers.vqgans import tokenizer_of
from maskmend.importers.writing import write_conversion
from maskmend.pretrained.folder import load_model


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    state = restated_mage.random_checkpoint(64, layers=3)
    return restated_mage.save(state, tmp_path_factory.mktemp("mage") / "mage.pth")


def test_tensors_are_read_one_after_the_other(file, tmp_path, monkeypatch):
    """Holding the checkpoint as well as what is written takes twice its size."""
    living: list[weakref.ref] = []
    most = 0
    take = Source.take

    def watched(self, name):
        nonlocal most
        value = take(self, name)
        gc.collect()
        living.append(weakref.ref(value))
        most = max(most, sum(ref() is not None for ref in living))
        return value

    monkeypatch.setattr(Source, "take", watched)
    gc.freeze()  # what earlier tests left behind is not searched for every tensor
    made = convert_mage(file, heads=4)
    living.clear()  # of the tokenizer, which is held whole
    most = 0
    written: list[tuple[int, int]] = []
    write_conversion(made, tmp_path / "model", progress=lambda done, total: written.append((done, total)))
    gc.unfreeze()
    assert len(living) > 40
    assert most <= 2
    assert written[-1][0] == written[-1][1]
    assert [done for done, _ in written] == sorted(done for done, _ in written)


def test_a_conversion_that_fails_midway_leaves_nothing(file, tmp_path):
    made = convert_mage(file, heads=4)
    told = 0

    def stop(done, total):
        nonlocal told
        told += 1
        if told == 5:
            raise ModelError("stopped")

    with pytest.raises(ModelError, match="stopped"):
        write_conversion(made, tmp_path / "model", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_told(file, tmp_path, monkeypatch):
    made = convert_mage(file, heads=4)
    monkeypatch.setattr(torch.Tensor, "numpy", lambda self: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(OutputError, match=r"cannot write .*model \(No space\)"):
        write_conversion(made, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_architecture_is_told(file, tmp_path):
    """A folder of a later version must not be read as one of ours."""
    write_conversion(convert_mage(file, heads=4), tmp_path / "model")
    config = tmp_path / "model" / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"mage"', '"magee"'))
    with pytest.raises(ModelError, match=r"architecture 'magee' \(did you mean 'mage'\?\)"):
        load_model(tmp_path / "model")


def test_the_tokenizers_weights_are_held_once(file):
    """Catches a copy of each: with the drawn ones of a new module there would be three."""
    made = convert_mage(file, heads=4).tokenizer
    weights = made.state_dict()
    again = tokenizer_of(made.config, weights)
    for name, value in again.state_dict().items():
        assert value.data_ptr() == weights[name].data_ptr(), name
    assert not any(value.is_meta for value in again.buffers())
    assert not any(value.requires_grad for value in again.parameters())


def test_tokenizer_weights_that_float16_does_not_hold_are_told(file, tmp_path):
    """Catches infinity in a model folder: every picture would be black."""
    made = convert_mage(file, heads=4)
    made.tokenizer.decoder.conv_out.bias.fill_(1e6)
    with pytest.raises(ModelError, match=r"decoder\.conv_out\.bias has numbers too large for float16"):
        write_conversion(made, tmp_path / "model", half=True)
    assert list(tmp_path.iterdir()) == []
    write_conversion(made, tmp_path / "model")


def test_the_card_says_what_a_fill_costs_where_it_was_measured(file, tmp_path, monkeypatch):
    """Catches figures of another size than the model's."""
    made = convert_mage(file, heads=4)
    side = made.tokenizer.config.resolution
    figures = {
        "architecture": "mage", "side": side, "dim": 64, "steps": 12, "fp32": 20.1, "bf16": 9.4, "few": 4,
        "bf16_few": 3.2, "gigabytes": 1.3, "machine": "a processor, 2 cores",
    }  # fmt: skip
    for dim, told in ((64, True), (65, False)):
        monkeypatch.setattr(costs, "_measured", lambda dim=dim: [figures | {"dim": dim}])
        write_conversion(made, tmp_path / str(dim))
        card = " ".join((tmp_path / str(dim) / "README.md").read_text().split())
        assert ("20.1 s of CPU time in float32 and 9.4 s in bfloat16 with 12 steps" in card) == told
        assert ("1.3 GB" in card) == told
