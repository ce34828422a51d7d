"""`study` from the command line to its page."""

from pathlib import Path

import numpy as np
import pytest
from scored import read, succeed

from maskmend.experiments.ablation import run as study_run
from maskmend.experiments.ablation.ingredients import CHANGES, cumulative

pytestmark = pytest.mark.usefixtures("small_networks")


@pytest.mark.slow
def test_a_study_trains_and_scores_each_ingredient(
    images: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch steps, seed, limit or the tokenizer that do not reach the trainings."""
    ingredients = cumulative(changes=CHANGES[:1])
    monkeypatch.setattr(study_run, "cumulative", lambda: ingredients)
    out = tmp_path / "out"
    progress = succeed(
        "study", "--train", images, "--validation", images, "--images", images, "--tokenizer", tiny_model,
        "-o", out, "--steps", "1", "--limit", "4", "--repeats", "2", "--seed", "6",
    )  # fmt: skip
    facts = read(out / "page.json")
    assert facts["images"] == 4
    assert [row["ingredient"]["name"] for row in facts["rows"]] == [
        ingredient.name for ingredient in ingredients
    ]
    budget = facts["budget"]
    assert (budget["steps"], budget["seed"], budget["codes"], budget["grid"]) == (1, 6, 24, 4)
    assert budget["tokenizer"] == str(tiny_model)
    assert all(np.isfinite(row["trial"]["lpips"]["value"]) for row in facts["rows"])
    assert len(list((out / "trainings").iterdir())) == len(ingredients)
    assert str(out / "page.html") in progress.stdout
