"""The study on a tiny model: each recipe trained once, each ingredient scored against the one below."""

import html
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from experiments.reproduce.conftest import mean_distance, small_features
from fakes import CODES, box_mask, smooth_pixels
from maskmend.errors import TrainingError
from maskmend.experiments.ablation import trainings as trainings_module
from maskmend.experiments.ablation.ingredients import CHANGES, cumulative
from maskmend.experiments.ablation.run import Scorer, study, verdict
from maskmend.experiments.ablation.trainings import Budget, Trainings
from maskmend.experiments.reproduce.dataset import TestSet
from maskmend.metrics.bootstrap import Interval

pytestmark = pytest.mark.slow

SHORT = [change for change in CHANGES if change.name in ("loss on masked", "EMA", "compositing")]


@pytest.fixture
def make(tmp_path: Path, tiny_model: Path) -> Callable[[], tuple[Trainings, Scorer]]:
    for n in range(8):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(smooth_pixels(16, 16, n)).save(tmp_path / "pictures" / f"{n}.png")

    def made() -> tuple[Trainings, Scorer]:
        pictures = str(tmp_path / "pictures")
        budget = Budget(
            train=pictures, validation=pictures, tokenizer=tiny_model, codes=CODES, grid=4, steps=3, batch=4,
            warmup=1, dim=16, heads=2, layers=1, mlp=16,
        )  # fmt: skip
        data = TestSet(
            images=[smooth_pixels(16, 16, n) for n in range(10)],
            masks=[box_mask(16, 16, 2 + n % 3, 4, 10, 12) for n in range(10)],
        )
        scorer = Scorer(
            data=data, extract=small_features, distance=mean_distance, folder=tmp_path / "trials", repeats=20
        )
        return Trainings(budget=budget, folder=tmp_path / "trainings"), scorer

    return made


def test_a_study_trains_each_recipe_once_and_goes_on_where_it_stopped(
    make: Callable[[], tuple[Trainings, Scorer]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingredients, out = cumulative(changes=SHORT), tmp_path / "out"
    trainings, scorer = make()
    facts = study(trainings, scorer, out, ingredients=ingredients)
    assert [row["training"] for row in facts["rows"]] == ["01", "02", "02", "02"]
    assert json.loads((out / "page.json").read_text()) == json.loads(json.dumps(facts))
    page = (out / "page.html").read_text()
    for row in facts["rows"]:
        assert html.escape(row["ingredient"]["name"]) in page
    above, top = facts["rows"][-2:]
    assert above["trial"]["composited"] is None
    assert top["trial"]["tokens_alone"] is None
    gap = top["trial"]["composited"]["value"] - above["trial"]["tokens_alone"]["value"]
    assert top["changes"]["result"]["value"] == pytest.approx(gap)
    assert top["changes"]["fill"]["value"] == 0  # the same fill, now pasted in

    def no_more(*given: object, **named: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(trainings_module, "train", no_more)
    trainings, scorer = make()
    assert study(trainings, scorer, out, ingredients=ingredients) == facts


def test_last_and_averaged_weights_are_told_apart(make: Callable[[], tuple[Trainings, Scorer]]) -> None:
    """Would catch an EMA ingredient that fills with the weights of the ingredient below."""
    trainings, _ = make()
    ingredient = cumulative()[0]
    last, averaged = (
        trainings.pipeline(
            replace(ingredient, averaged=flag), lambda what, done, total: None
        ).transformer.state_dict()
        for flag in (False, True)
    )
    assert not all(torch.equal(last[name], averaged[name]) for name in last)


def test_remembered_tokens_change_no_training(
    make: Callable[[], tuple[Trainings, Scorer]], tmp_path: Path
) -> None:
    """Would catch a training that depends on which others ran before it."""
    ingredients = cumulative(changes=SHORT)
    alone, _ = make()
    after, _ = make()
    after.folder = tmp_path / "again"
    silent = lambda what, done, total: None  # noqa: E731
    first = alone.pipeline(ingredients[1], silent).transformer.state_dict()
    after.pipeline(ingredients[0], silent)
    second = after.pipeline(ingredients[1], silent).transformer.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_that_was_stopped_is_no_result(
    make: Callable[[], tuple[Trainings, Scorer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings, _ = make()
    real = trainings_module.train

    def stopped(*given: object, **named: object) -> object:
        outcome = real(*given, **named)  # type: ignore[arg-type]
        return replace(outcome, finished=False)

    monkeypatch.setattr(trainings_module, "train", stopped)
    with pytest.raises(TrainingError, match="the same command resumes"):
        trainings.pipeline(cumulative()[0], lambda what, done, total: None)


@pytest.mark.parametrize(
    ("low", "value", "high", "said"),
    [(-2, -1, -0.1, "better"), (-2, -1, 0.1, "tie"), (0.1, 1, 2, "worse"), (0, 0, 0, "tie")],
)
def test_a_change_is_one_where_its_interval_leaves_out_zero(
    low: float, value: float, high: float, said: str
) -> None:
    assert verdict(Interval(value=float(value), low=float(low), high=float(high))) == said
    assert verdict(None) == ""
