"""A model by its name, a component by its path: what leads nowhere is told as what it is."""

import fnmatch
import sys
import types

import pytest

from maskmend.errors import ModelError
from maskmend.pretrained.component import save_tokenizer
from maskmend.pretrained.lookup import component_folder, find_model


def test_a_wrong_place_is_told_as_what_it_is(tiny_pipeline, tmp_path):
    """Catches a path that leads nowhere, a checkpoint and a run of the other stage all called a folder that
    is no model's."""
    run, folder = tmp_path, tmp_path / "tokenizer"
    save_tokenizer(tiny_pipeline.tokenizer, folder)
    (run / "best.pt").write_text("")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "metrics.jsonl").write_text("")
    (tmp_path / "photos").mkdir()
    assert component_folder(run, "tokenizer") == component_folder(folder, "tokenizer") == folder
    for path, kind, words in (
        (tmp_path / "nothing", "tokenizer", "no folder .*nothing: check the path"),
        (run / "best.pt", "tokenizer", r"best\.pt is a file: give the folder of a run"),
        (run, "transformer", "holds a tokenizer, no transformer: give the folder of a transformer"),
        (tmp_path / "begun", "tokenizer", "begun has exported no tokenizer yet"),
        (tmp_path / "photos", "transformer", "no transformer in .*photos: is this the folder of a run"),
    ):
        with pytest.raises(ModelError, match=words):
            component_folder(path, kind)


def test_find_model(tmp_path, monkeypatch):
    """Catches a mistyped path that is sent to the hub, and an import error for who has no hub client."""
    assert find_model(str(tmp_path)) == tmp_path
    for name in ("no-such-model", "/no/such/folder", "./nowhere", "a//b"):
        with pytest.raises(ModelError, match=r"give a model folder, a hub id .*or one of: default"):
            find_model(name)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"owner/name looks like a hub id: pip install '\.\[hub\]'"):
        find_model("owner/name")


def test_a_shipped_name_means_the_shipped_model(tmp_path, monkeypatch):
    """Catches a folder that happens to be called default taking the place of the shipped model."""
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model("default") != tmp_path / "default"
    assert find_model("./default").resolve() == tmp_path / "default"


def test_the_hub_is_asked_for_what_a_model_folder_holds(tmp_path, monkeypatch):
    """Catches a hub id that is not passed on, files left behind, and a failure of many lines."""
    asked = {}

    def download(name, allow_patterns):
        asked.update(name=name, patterns=allow_patterns)
        if name == "owner/gone":
            raise OSError("no such repository")
        return str(tmp_path)

    errors = {name: type(name, (Exception,), {}) for name in
              ("HfHubHTTPError", "HFValidationError", "LocalEntryNotFoundError")}  # fmt: skip
    hub = types.SimpleNamespace(snapshot_download=download, utils=types.SimpleNamespace(**errors))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub.utils", hub.utils)
    assert find_model("owner/name") == tmp_path
    assert asked["name"] == "owner/name"
    wanted = ["README.md", "model_index.json", "tokenizer/config.json", "transformer/weights.safetensors"]
    for path in wanted:
        assert any(fnmatch.fnmatch(path, pattern) for pattern in asked["patterns"])
    with pytest.raises(ModelError, match="cannot fetch model owner/gone from the hub: no such repository"):
        find_model("owner/gone")
