"""Pipelines that are saved, loaded and fetched."""

import json
import shutil
import sys
import types

import pytest
import torch

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.errors import ConfigError, ModelError
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.component import save_transformer
from maskmend.settings import Settings
from pipeline_parts import assert_same

SIDE = 16
IMAGE = smooth_pixels(SIDE, SIDE)
MASK = box_mask(SIDE, SIDE, 3, 5, 11, 14)


def test_a_saved_model_gives_the_same_fill(tiny_pipeline, tmp_path):
    """Catches weights, configuration or default settings that change on the way to disk and back."""
    defaults = Settings(steps=3, seam="hard", top_p=0.9)
    saved = InpaintPipeline(tiny_pipeline.tokenizer, tiny_pipeline.transformer, defaults)
    saved.save_pretrained(tmp_path / "model")
    loaded = InpaintPipeline.from_pretrained(tmp_path / "model")
    assert loaded.defaults == defaults
    assert_same(loaded(IMAGE, MASK, samples=2), saved(IMAGE, MASK, samples=2))
    assert loaded.resolution == SIDE
    assert InpaintPipeline.from_pretrained(str(tmp_path / "model")).to("cpu").device.type == "cpu"


def test_half_precision_halves_the_files(tiny_pipeline, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path / "full")
    tiny_pipeline.save_pretrained(tmp_path / "half", half=True)
    full, half = (
        sum(path.stat().st_size for path in (tmp_path / name).rglob("*.safetensors"))
        for name in ("full", "half")
    )
    assert half < 0.7 * full
    loaded = InpaintPipeline.from_pretrained(tmp_path / "half")
    assert loaded.transformer.bias.dtype == torch.float32
    assert loaded(IMAGE, MASK).pictures[0].pixels.shape == IMAGE.shape


def test_parts_of_different_models_are_refused(tmp_path):
    """Catches a fill of nonsense from a tokenizer and a transformer that never met."""
    tokenizer, transformer = tiny_models()
    _, other_codes = tiny_models(codes=30)
    _, other_grid = tiny_models(grid=5)
    with pytest.raises(ConfigError, match="24 codes on a 4x4 grid, the transformer 30 on 4x4"):
        InpaintPipeline(tokenizer, other_codes)
    with pytest.raises(ConfigError, match="the transformer 24 on 5x5"):
        InpaintPipeline(tokenizer, other_grid)
    InpaintPipeline(tokenizer, transformer).save_pretrained(tmp_path)
    save_transformer(other_codes, tmp_path / "transformer")
    with pytest.raises(ModelError, match="take both from the same model"):
        InpaintPipeline.from_pretrained(tmp_path)


def test_defaults_of_a_folder_that_nobody_knows_are_an_error_with_its_name(tiny_model, tmp_path):
    """Catches a folder of a newer version whose settings would be dropped in silence."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["defaults"]["stepps"] = 3
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(
        ModelError, match=r"model .*model: unknown setting 'defaults.stepps' .did you mean 'steps'"
    ):
        InpaintPipeline.from_pretrained(folder)


def fake_hub(monkeypatch, download):
    """A `huggingface_hub` with the three exceptions where old and new releases have them."""
    hub, utils = types.ModuleType("huggingface_hub"), types.ModuleType("huggingface_hub.utils")
    hub.snapshot_download = download
    for name in ("HfHubHTTPError", "HFValidationError", "LocalEntryNotFoundError"):
        setattr(utils, name, type(name, (Exception,), {}))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub.utils", utils)
    return utils


def test_a_hub_id_is_fetched(monkeypatch, tiny_pipeline, tiny_model):
    asked = []

    def download(name, **options):
        asked.append((name, options))
        return str(tiny_model)

    fake_hub(monkeypatch, download)
    loaded = InpaintPipeline.from_pretrained("somebody/cats")
    assert_same(loaded(IMAGE, MASK), tiny_pipeline(IMAGE, MASK))
    ((name, options),) = asked
    assert name == "somebody/cats"
    assert "*/*.safetensors" in options["allow_patterns"]


def test_a_hub_that_cannot_deliver_is_an_error_of_ours(monkeypatch):
    def download(name, **options):
        raise utils.LocalEntryNotFoundError("offline")

    utils = fake_hub(monkeypatch, download)
    with pytest.raises(ModelError, match="cannot fetch model somebody/cats from the hub: offline"):
        InpaintPipeline.from_pretrained("somebody/cats")


def test_a_hub_id_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install '\.\[hub\]'"):
        InpaintPipeline.from_pretrained("somebody/cats")


def test_a_device_that_is_not_there_leaves_the_pipeline_usable(tiny_pipeline):
    """Catches PyTorch's own error, and a pipeline of which one half has moved."""
    with pytest.raises(ConfigError, match=r"device 'opencl' cannot be used.*stay on cpu"):
        tiny_pipeline.to("opencl")
    assert tiny_pipeline(IMAGE, MASK, steps=1).pictures


def test_a_model_is_loaded_onto_a_device(tiny_pipeline, tmp_path):
    """Catches a raw TypeError for `device`, and for arguments that there are not."""
    tiny_pipeline.save_pretrained(tmp_path)
    for device in ("cpu", torch.device("cpu"), "cpu:0"):
        assert InpaintPipeline.from_pretrained(tmp_path, device=device).device.type == "cpu"
    with pytest.raises(ConfigError, match="device 'opencl' cannot be used"):
        InpaintPipeline.from_pretrained(tmp_path, device="opencl")
    with pytest.raises(ConfigError, match="torch_dtype is no argument here: give `precision`"):
        InpaintPipeline.from_pretrained(tmp_path, torch_dtype=torch.float16)
    with pytest.raises(ConfigError, match=r"unknown argument 'devise' .did you mean 'device'"):
        InpaintPipeline.from_pretrained(tmp_path, devise="cpu")
