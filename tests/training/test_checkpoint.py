"""Checkpoints of format 1, from before weights and settings were renamed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from maskmend.errors import TrainingError
from maskmend.pretrained.migrations import FORMAT, QUANTIZER_STATE, SETTINGS, name_in_format_1
from maskmend.training import checkpoint
from maskmend.training.run import run


def to_format_1(path: Path) -> None:
    """Rewrites a checkpoint as an older version would have written it."""
    content: dict[str, Any] = torch.load(path, weights_only=True)
    stage, recipe = content["stage"], content["recipe"]
    stage["average"] = stage.pop("ema")
    for part in ("model", "average"):
        stage[part] = {name_in_format_1(name): value for name, value in stage[part].items()}
    if "quantizer" in stage:
        before = {now: name for name, now in QUANTIZER_STATE.items()}
        stage["quantizer"] = {before[name]: value for name, value in stage["quantizer"].items()}
    for table, names in SETTINGS.items():
        for name, now in names.items():
            if recipe.get(table):
                recipe[table][name] = recipe[table].pop(now)
    torch.save(content | {"format": 1}, path)


@pytest.mark.parametrize("stage", ["tokenizer", "decoder"])
def test_a_run_of_format_1_resumes_and_exports_the_same_weights(
    stage: str, tmp_path: Path, make_recipe
) -> None:
    """Catches a run of days that cannot be continued or exported after an upgrade, and state that is lost."""
    run(make_recipe(stage, training={"steps": 2}), tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    for name in ("last.pt", "best.pt"):
        to_format_1(tmp_path / "old" / name)
    said: list[str] = []
    for folder in ("new", "old"):
        outcome = run(make_recipe(stage, training={"steps": 4}), tmp_path / folder, log=said.append)
        assert outcome.finished
    assert said.count("resuming at step 2; changed: training.steps = 4, was 2") == 2
    new, old = (checkpoint.read(tmp_path / folder / "last.pt") for folder in ("new", "old"))
    assert torch.load(tmp_path / "old" / "last.pt", weights_only=True)["format"] == FORMAT
    for part in ("model", "ema"):
        assert list(new["stage"][part]) == list(old["stage"][part])
        for name, value in new["stage"][part].items():
            assert torch.equal(value, old["stage"][part][name]), name
    weights = [tmp_path / folder / "tokenizer" / "weights.safetensors" for folder in ("new", "old")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": FORMAT + 1}, f"format {FORMAT + 1}, this version reads up to {FORMAT}: upgrade maskmend"),
        ({"step": 1}, f"format None, expected 1 to {FORMAT}: is it the checkpoint of a run"),
    ],
)
def test_other_formats_are_refused(content: dict[str, int], message: str, tmp_path: Path) -> None:
    """Catches a newer checkpoint that is misread, and a file that is none called a newer one."""
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(TrainingError, match=message):
        checkpoint.read(tmp_path / "last.pt")
