"""Checkpoints of sharded runs, here of one process; those of two are in `test_distributed`."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from maskmend.errors import ConfigError, TrainingError
from maskmend.training.run import run
from maskmend.training.sharded_checkpoint import read

CONSTANT = {"warmup": 0, "final_lr": 1.0, "validate_every": 2, "checkpoint_every": 2, "picture_every": 100}


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "transformer" / "weights.safetensors")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory, make_recipe) -> Path:
    """A run of two steps that went on to four."""
    out = tmp_path_factory.mktemp("sharded") / "run"
    for steps in (2, 4):
        training = CONSTANT | {"steps": steps, "parallel": "fsdp", "keep": "last"}
        assert run(make_recipe("transformer", training=training), out).finished
    return out


def test_a_run_that_was_stopped_ends_with_the_same_weights(
    sharded: Path, tmp_path: Path, make_recipe
) -> None:
    """Would catch state that is not in the checkpoint: the run in one piece keeps all in memory. Blocks
    that are computed again in the backward pass give the same bits."""
    training = CONSTANT | {"steps": 4, "keep": "last", "recompute": True}
    assert run(make_recipe("transformer", training=training), tmp_path / "whole").finished
    whole, resumed = weights(tmp_path / "whole"), weights(sharded)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_only_the_last_is_kept_and_holds_no_pickle(sharded: Path) -> None:
    """Would catch a disk that fills up, and tensors in a format that runs code."""
    assert sorted(path.name for path in sharded.glob("last*")) == ["last-0000004", "last.json"]
    assert {path.suffix for path in (sharded / "last-0000004").iterdir()} == {".safetensors"}
    assert read(sharded / "last.json")["step"] == 4


def test_the_other_kind_of_run_is_not_begun_over_it(sharded: Path, make_recipe) -> None:
    """Would catch days of training that start over in silence."""
    with pytest.raises(TrainingError, match=r"another training\.parallel"):
        run(make_recipe("transformer", training=CONSTANT | {"steps": 6}), sharded)


def test_an_older_pytorch_is_named_before_the_training(make_recipe, tmp_path: Path, monkeypatch) -> None:
    """Would catch a run of hours whose first checkpoint cannot be written."""
    from torch.distributed.checkpoint import hf_storage

    monkeypatch.delattr(hf_storage, "HuggingFaceStorageWriter")
    with pytest.raises(ConfigError, match="upgrade torch"):
        run(make_recipe("transformer", training={"parallel": "fsdp"}), tmp_path)


@pytest.mark.parametrize("content", [b"no json", b"[]", b'{"format": 0}'])
def test_a_damaged_checkpoint_is_one_line(content: bytes, tmp_path: Path) -> None:
    """Would catch a traceback, and a folder that is missing."""
    (tmp_path / "last.json").write_bytes(content)
    with pytest.raises(TrainingError, match="start over with --restart"):
        read(tmp_path / "last.json")


def test_a_newer_format_says_upgrade(tmp_path: Path) -> None:
    """Would catch advice to start over for a checkpoint that a newer version can continue."""
    (tmp_path / "last.json").write_text('{"format": 3, "weights": []}')
    with pytest.raises(TrainingError, match="format 3, this version reads up to 2: upgrade maskmend"):
        read(tmp_path / "last.json")


def test_a_missing_folder_is_one_line(sharded: Path, tmp_path: Path) -> None:
    """Would catch tensors that are looked for in vain."""
    content = json.loads((sharded / "last.json").read_bytes())
    (tmp_path / "last.json").write_text(json.dumps(content))
    with pytest.raises(TrainingError, match="last-0000004 is missing"):
        read(tmp_path / "last.json")


@pytest.mark.parametrize("setting", [{"parallel": "fsdp"}, {"recompute": True}])
def test_settings_of_transformers_are_refused_elsewhere(setting: dict, make_recipe) -> None:
    """Would catch a setting that does nothing."""
    with pytest.raises(ConfigError, match="it is for transformers"):
        make_recipe("tokenizer", training=setting)
