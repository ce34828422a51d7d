"""The drafted model card: what the runs know stands in it, what they cannot know is asked for."""

import json
from pathlib import Path

import pytest

from maskmend.config import from_dict, to_dict
from maskmend.errors import TrainingError
from maskmend.training import checkpoint
from maskmend.training.card import UNKNOWN, draft_card
from maskmend.training.recipe import Recipe


def run_folder(folder: Path, keep: str) -> Path:
    recipe = from_dict(
        Recipe,
        {
            "stage": "tokenizer",
            "data": {"train": "photos", "validation": "held-out"},
            "training": {"steps": 9, "keep": keep},
        },
    )
    folder.mkdir()
    checkpoint.write(folder / "last.pt", {"step": 9, "best": 0.5, "recipe": to_dict(recipe), "stage": {}})
    rows = [
        {"kind": "validation", "step": 3, "time": 1000.0, "loss": 0.5, "psnr": 21.5},
        {"kind": "train", "step": 6, "time": 1300.0, "loss": 0.9},
        {"kind": "train", "step": 6, "time": 90_000.0, "loss": 0.9},  # the night between two sittings
        {"kind": "validation", "step": 9, "time": 90_300.0, "loss": 0.7, "psnr": 25.25},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(("keep", "shown", "hidden"), [("last", "25.25", "21.5"), ("best", "21.5", "25.25")])
def test_a_card_tells_data_recipe_time_and_metrics(
    tmp_path: Path, keep: str, shown: str, hidden: str
) -> None:
    """Would catch the figures of weights that are not in the folder."""
    card = draft_card(run_folder(tmp_path / "run", keep), tmp_path / "elsewhere", data="My own photos, CC0.")
    for words in (
        "9 steps in 10 minutes",
        "`photos`",
        "`held-out`",
        shown,
        "My own photos, CC0.",
        '"steps": 9',
    ):
        assert words in card
    assert f"| psnr | {hidden}" not in card
    assert "folder without its run (elsewhere)" in card
    assert UNKNOWN not in card
    assert UNKNOWN in draft_card(tmp_path / "run", tmp_path / "elsewhere")


def test_pauses_are_no_training_time(tmp_path: Path) -> None:
    """Would catch minutes in which the run was stopped, which a throughput tells from slow steps."""
    run = run_folder(tmp_path / "run", "last")
    batch = 32  # of TrainingConfig
    rows = [
        {"kind": "train", "step": 10, "time": 0.0, "loss": 1.0, "images_per_second": 4 * batch / 60},
        {"kind": "train", "step": 50, "time": 600.0, "loss": 1.0, "images_per_second": 4 * batch / 60},
        {"kind": "train", "step": 54, "time": 900.0, "loss": 1.0, "images_per_second": 4 * batch / 60},
        {"kind": "validation", "step": 54, "time": 960.0, "loss": 0.5},
        {"kind": "train", "step": 110, "time": 1800.0, "loss": 1.0, "images_per_second": 4 * batch / 60},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # Ten slow minutes, one of work and four of rest, one of validation, fourteen slow ones.
    assert "9 steps in 26 minutes" in draft_card(run, tmp_path / "elsewhere")


def test_a_damaged_log_is_told(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", "last")
    (run / "metrics.jsonl").write_text("no JSON")
    with pytest.raises(TrainingError, match=r"cannot read .*metrics\.jsonl"):
        draft_card(run, run)


def test_a_decoder_run_is_told_as_one(tmp_path: Path) -> None:
    """Would catch a card that gives the command of another stage, or the tables of one."""
    run = run_folder(tmp_path / "run", "last")
    table = {"tokenizer": "runs/first", "random_walk": 0.7}
    base = {"stage": "decoder", "data": {"train": "a", "validation": "b"}, "training": {"steps": 9}}
    recipe = to_dict(from_dict(Recipe, base | {"decoder": table}))
    checkpoint.write(run / "last.pt", {"step": 9, "best": 0.5, "recipe": recipe, "stage": {}})
    card = draft_card(run, tmp_path / "elsewhere")
    assert "maskmend train decoder --config" in card
    assert '"random_walk": 0.7' in card
    assert "quantize_from" not in card
