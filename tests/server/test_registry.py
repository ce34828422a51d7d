"""Models of a server: found at the start, loaded when asked for."""

import json

import pytest

from maskmend.errors import ConfigError, ModelError
from maskmend.server.registry import Catalogue
from maskmend.server.settings import Limits
from server_parts import form, until


def test_models_are_found_at_the_start_and_loaded_when_asked_for(tiny_pipeline, tmp_path):
    folders = [tmp_path / name / "one" for name in "ab"] + [tmp_path / "two"]
    for folder in folders:
        tiny_pipeline.save_pretrained(folder)
    catalogue = Catalogue.open([str(folders[0]), str(folders[2])], "cpu")
    assert list(catalogue.entries) == ["one", "two"]
    assert catalogue.default == "one"
    assert [entry.about()["loaded"] for entry in catalogue.entries.values()] == [False, False]
    assert catalogue.entry("two").loaded() is catalogue.entry("two").loaded()
    assert [entry.about()["loaded"] for entry in catalogue.entries.values()] == [False, True]
    assert str(tmp_path) not in json.dumps(catalogue.entry("two").about())
    with pytest.raises(ConfigError, match="two models are called 'one'"):
        Catalogue.open([str(folders[0]), str(folders[1])], "cpu")
    with pytest.raises(ModelError, match="no model"):
        Catalogue.open([str(tmp_path / "three")], "cpu")


def test_a_model_that_cannot_be_loaded_is_no_500(tiny_pipeline, tmp_path):
    """Catches a damaged model that takes the server down, or that is reported as ready."""
    from starlette.testclient import TestClient

    from maskmend.server.app import create_app
    from maskmend.server.settings import ServeConfig

    tiny_pipeline.save_pretrained(tmp_path / "model")
    catalogue = Catalogue.open([str(tmp_path / "model")], "cpu")
    (tmp_path / "model" / "tokenizer" / "weights.safetensors").write_bytes(b"damaged")
    app = create_app(ServeConfig(limits=Limits(drain=5.0)), catalogue)
    with TestClient(app, base_url="http://localhost") as client:
        until(lambda: app.state.service.trouble)
        unready = client.get("/readyz")
        assert unready.status_code == 503
        assert str(tmp_path) not in unready.text  # anybody may ask
        answer = client.post("/v1/inpaint", files=form())
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
        assert str(tmp_path) not in answer.text
