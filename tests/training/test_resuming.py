"""What a run goes on from: the same recipe but for what may change, its own networks,
a checkpoint that is whole.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_stage import FakeStage, go

from maskmend.errors import TrainingError
from maskmend.training import checkpoint
from maskmend.training.run import build_stage

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"preset": "coursework"}, "preset"), ({"model": {"decoder_blocks": 2}}, "model")],
)
def test_a_run_of_another_recipe_is_refused(changes: dict, word: str, tmp_path: Path, make_recipe) -> None:
    """Would catch weights of one model poured into another, or a finished run overwritten."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    kept = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(TrainingError, match=f"another {word}.*--restart"):
        go(make_recipe("tokenizer", **changes), FakeStage(), tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == kept


@pytest.mark.parametrize("change", [{"discriminator_channels": 12}, {"adversarial": 0.0}])
def test_a_discriminator_that_does_not_fit_is_refused(change: dict, tmp_path: Path, make_recipe) -> None:
    """Would catch a traceback of many lines: these settings are not part of the model, and change it all
    the same."""
    recipe = make_recipe("tokenizer", training={"steps": 1})
    go(recipe, build_stage(recipe, CPU), tmp_path)
    other = make_recipe("tokenizer", training={"steps": 2}, tokenizer=change)
    ((name, value),) = change.items()
    with pytest.raises(TrainingError, match=rf"fit \(tokenizer\.{name} = {value}, was .*--restart") as caught:
        go(other, build_stage(other, CPU), tmp_path)
    assert "\n" not in str(caught.value)
    assert "zip" not in str(caught.value)


def test_a_run_that_goes_on_says_where_and_with_what(tmp_path: Path, make_recipe) -> None:
    """Would catch a setting changed by mistake, or a run taken up by mistake, that nobody is told of."""
    said: list[str] = []
    go(make_recipe("tokenizer"), FakeStage(), tmp_path, log=said.append)
    go(make_recipe("tokenizer"), FakeStage(), tmp_path, log=said.append)
    assert not said
    longer = make_recipe("tokenizer", training={"steps": 12, "lr": 1e-4})
    go(longer, FakeStage(), tmp_path, log=said.append)
    assert said == [
        "resuming at step 10; changed: training.lr = 0.0001, was 0.001, training.steps = 12, was 10"
    ]


def test_more_steps_and_another_rate_are_no_other_recipe(tmp_path: Path, make_recipe) -> None:
    """Would catch a run that cannot be prolonged."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    longer = make_recipe("tokenizer", training={"steps": 12, "lr": 1e-4})
    outcome = go(longer, FakeStage(), tmp_path)
    assert (outcome.step, outcome.finished) == (12, True)


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"tokenizer": {"discriminator_channels": 16}}, 10),
        ({"data": {"validation": "train"}}, 10),
        ({"training": {"steps": 12}}, 8),
    ],
)
def test_the_lowest_loss_of_other_settings_is_forgotten(
    change: dict, step: int, tmp_path: Path, photos: Path, make_recipe
) -> None:
    """Would catch a run that hands over weights of before the change, for a loss nobody can compare."""
    if "data" in change:
        change = {"data": {"validation": str(photos / change["data"]["validation"])}}
    go(make_recipe("tokenizer", training={"steps": 8}), FakeStage(validations=(3.0, 1.0)), tmp_path)
    go(make_recipe("tokenizer", **change), FakeStage(validations=(2.0,)), tmp_path)
    assert checkpoint.read(tmp_path / "best.pt")["step"] == step


def test_a_setting_that_is_new_counts_as_its_default(tmp_path: Path, make_recipe) -> None:
    """Would catch a setting of a later version that changes a run without a word, or a word about none."""
    go(make_recipe("tokenizer"), FakeStage(), tmp_path)
    content = checkpoint.read(tmp_path / "last.pt")
    for name in ("discriminator_channels", "feature_adversarial"):  # of which the recipe changes the first
        del content["recipe"]["tokenizer"][name]
    checkpoint.write(tmp_path / "last.pt", content)
    said: list[str] = []
    go(make_recipe("tokenizer", training={"steps": 12}), FakeStage(), tmp_path, log=said.append)
    assert said[0].startswith("resuming at step 10; changed: tokenizer.discriminator_channels = 8, was 64")
    assert "feature_adversarial" not in said[0]


def test_failing_write_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a full disk that costs the run, and half files left lying about."""
    path = tmp_path / "last.pt"
    checkpoint.write(path, {"step": 1})

    def full(content: Any, file: Any) -> None:
        file.write(b"half a checkpoint")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match=r"last\.pt.*No space left"):
        checkpoint.write(path, {"step": 2})
    assert checkpoint.read(path)["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch warns of odd pickles before it fails
def test_damaged_checkpoint_is_one_line(tmp_path: Path) -> None:
    """Would catch a traceback of the unpickler instead of the way out."""
    path = tmp_path / "last.pt"
    checkpoint.write(path, {"step": 1, "stage": torch.arange(100)})
    intact = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(30):
        noise = rng.integers(0, 256, rng.integers(0, 400), dtype=np.uint8).tobytes()
        for damaged in (intact[: rng.integers(len(intact))], noise, b"\x80\x02" + noise):
            path.write_bytes(damaged)
            with pytest.raises(TrainingError, match=r"last\.pt") as caught:
                checkpoint.read(path)
            assert "\n" not in str(caught.value)


def test_checkpoint_runs_no_code_of_strangers(tmp_path: Path) -> None:
    """Would catch a checkpoint that executes what it contains."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"format": checkpoint.FORMAT, "step": Evil()}, tmp_path / "last.pt")
    with pytest.raises(TrainingError):
        checkpoint.read(tmp_path / "last.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [{"format": checkpoint.FORMAT + 1}, {"step": 1}, [1, 2]])
def test_checkpoint_of_another_format(content: Any, tmp_path: Path) -> None:
    """Would catch a newer checkpoint read as if it were of this version."""
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(TrainingError, match=r"upgrade|is it the checkpoint of a run"):
        checkpoint.read(tmp_path / "last.pt")


def test_the_best_takes_the_place_of_a_lost_last(tmp_path: Path, make_recipe) -> None:
    """Would catch the only good checkpoint being deleted because the other one was damaged and removed."""
    recipe = make_recipe("tokenizer", training={"steps": 10})
    go(recipe, FakeStage([3.0, 1.0, 2.0]), tmp_path)
    assert checkpoint.read(tmp_path / "best.pt")["step"] == 8
    (tmp_path / "last.pt").unlink()
    starts = []
    stage = FakeStage([5.0])
    stage.events = {step: lambda step=step: starts.append(step) for step in range(10)}
    outcome = go(recipe, stage, tmp_path)
    assert (starts, outcome.step, outcome.best) == ([8, 9], 10, 1.0)


def test_a_transformer_of_another_tokenizer_does_not_go_on(tmp_path: Path, make_recipe) -> None:
    """Would catch tokens that mean something else half-way through a run."""
    recipe = make_recipe("transformer", training={"steps": 1})
    go(recipe, build_stage(recipe, CPU), tmp_path)
    longer = make_recipe("transformer", training={"steps": 2})
    stage = build_stage(longer, CPU)
    stage.tokenizer.quantizer.codebook += 0.1
    with pytest.raises(TrainingError, match="tokens of another tokenizer"):
        go(longer, stage, tmp_path)
