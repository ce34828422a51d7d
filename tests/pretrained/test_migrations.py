"""Format 1 of models is read with the same tensors, and format 2 gives the same pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fakes import box_mask, smooth_pixels, tiny_models
from maskmend.errors import ModelError
from maskmend.pipeline import InpaintPipeline
from maskmend.pretrained.folder import load_model, save_model
from maskmend.pretrained.hashes import model_hash
from maskmend.pretrained.lookup import find_model
from maskmend.pretrained.migrations import (
    config_in_format_1,
    migrate_config,
    migrate_name,
    migrate_recipe,
    name_in_format_1,
)
from maskmend.settings import Settings

SHIPPED = {
    # Recorded with format 1, before any name changed.
    "cats64": "96835a5cf96a5f7ef295b3dfcdab4c0581c18295354f5aa0ca5b0e5df26a3ed7",
    # Its tokenizer is of format 2, its transformer of format 1.
    "photo": "daab5e2a7f0d7b8525892bb644bc34657efb74acfa5fe084e7a0bbe3bfdb964b",
}


def components(folder: Path) -> list[Path]:
    return [folder / "tokenizer", folder / "transformer"]


def to_format_1(folder: Path) -> None:
    """Rewrites a model folder of format 2 as an older version would have written it."""
    for component in components(folder):
        about = json.loads((component / "config.json").read_text())
        about |= {"format": 1, "config": config_in_format_1(about["config"])}
        (component / "config.json").write_text(json.dumps(about))
        file = component / "weights.safetensors"
        save_file({name_in_format_1(name): value for name, value in load_file(file).items()}, file)
    index = json.loads((folder / "model_index.json").read_text()) | {"format": 1}
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_read_unchanged(name: str) -> None:
    """Catches a weight under another's name, and records of fills that no longer name their model."""
    folder = find_model(name)
    *modules, _ = load_model(folder)
    for component, module in zip(components(folder), modules, strict=True):
        newer = (name, component.name) == ("photo", "tokenizer")
        assert json.loads((component / "config.json").read_text())["format"] == (2 if newer else 1)
        before, now = load_file(component / "weights.safetensors"), module.state_dict()
        assert {migrate_name(key) for key in before} == set(now)
        for key, value in before.items():
            assert torch.equal(value.to(now[migrate_name(key)].dtype), now[migrate_name(key)]), key
    assert model_hash(*modules) == SHIPPED[name]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_go_from_format_1_to_2(name: str, tmp_path: Path) -> None:
    """Catches names of format 1 that are written, and a precision lost on the way."""
    tokenizer, transformer, defaults = load_model(find_model(name))
    save_model(tokenizer, transformer, defaults, tmp_path, dtype=torch.float16)
    for component in components(tmp_path):
        assert json.loads((component / "config.json").read_text())["format"] == 2
        names = list(load_file(component / "weights.safetensors"))
        assert names == [migrate_name(each) for each in names]
    assert model_hash(*load_model(tmp_path)[:2]) == SHIPPED[name]


def test_a_model_of_format_1_fills_alike(tmp_path: Path) -> None:
    """Catches a migration that loads a model which is another: attention pattern, known pixels, weights."""
    save_model(*tiny_models(), {}, tmp_path)
    image, mask = smooth_pixels(16, 16), box_mask(16, 16, 4, 4, 12, 12)
    before = InpaintPipeline.from_pretrained(tmp_path)(image, mask, seed=3, samples=2)
    to_format_1(tmp_path)
    names = set(load_file(tmp_path / "tokenizer" / "weights.safetensors"))
    assert any(name.startswith("decoder.known.merges.") for name in names)
    assert (
        json.loads((tmp_path / "transformer" / "config.json").read_text())["config"]["attention"] == "context"
    )
    after = InpaintPipeline.from_pretrained(tmp_path)(image, mask, seed=3, samples=2)
    np.testing.assert_array_equal(before.tokens, after.tokens)
    for one, other in zip(before.pictures, after.pictures, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_old_names_in_a_folder_of_format_2_are_refused(tmp_path: Path) -> None:
    """Catches files of two versions that are mixed without a word."""
    save_model(*tiny_models(), {}, tmp_path)
    file = tmp_path / "tokenizer" / "weights.safetensors"
    save_file({name_in_format_1(name): value for name, value in load_file(file).items()}, file)
    with pytest.raises(ModelError, match=r"unknown decoder\.enter\.bias.*copy both files again"):
        load_model(tmp_path)


def test_old_choices_become_the_present_ones() -> None:
    """Catches a configuration of a converted model, or a recipe, that is refused for an old name."""
    assert migrate_config({"design": "lab", "attention": "full"}) == {
        "design": "coursework",
        "attention": "full",
    }
    assert migrate_config({"attention": "context"}) == {"attention": "prefix"}
    assert migrate_config([1]) == [1]  # refused later, in one line
    recipe = {"preset": "report", "model": {"attention": "context"}, "decoder": {"judges": "runs/a"}}
    now = {"preset": "coursework", "model": {"attention": "prefix"}, "decoder": {"discriminators": "runs/a"}}
    assert migrate_recipe(recipe) == now
    assert migrate_recipe(now) == now
    assert Settings(context=0.3).context == 0.3  # of fills: the pixels around a hole, never renamed
