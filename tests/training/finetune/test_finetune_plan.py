"""What is trained, for how long, from which settings."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from maskmend.assets import ASSETS
from maskmend.errors import ConfigError, TrainingError
from maskmend.models.tokenizer_config import TokenizerConfig
from maskmend.models.transformer import TransformerConfig
from maskmend.pretrained.component import read_config
from maskmend.training.finetune import prices
from maskmend.training.finetune.pictures import PictureCounts
from maskmend.training.finetune.plan import PLAN, STEPS, Plan, read_plan, recipes, shared_out, write_plan
from maskmend.training.finetune.prices import MeasuredRun, price_list

COUNTS = PictureCounts(training=180, validation=20, side=256, skipped=0, copies=0, listing="")
PLAN_OF_TWO = Plan(
    model="model", model_hash="", pictures=COUNTS, steps={"transformer": 400, "decoder": 400},
    seconds={"transformer": 1.5, "decoder": 3.0}, before=(0.1, 0.2),
)  # fmt: skip


def configs(name: str) -> tuple[TokenizerConfig, TransformerConfig]:
    return (
        read_config(ASSETS / name / "tokenizer", "tokenizer", TokenizerConfig),
        read_config(ASSETS / name / "transformer", "transformer", TransformerConfig),
    )


@pytest.mark.parametrize(("name", "guesses"), [("photo", 0.4), ("cats64", 0.0)])
def test_the_recipes_are_those_of_the_model(name: str, guesses: float, tmp_path: Path) -> None:
    """Would catch guesses for a model that knows none, which its stage refuses, and a model that is not
    the one it starts from."""
    tokenizer, transformer = configs(name)
    made = recipes(PLAN_OF_TWO, tmp_path, tokenizer, transformer)
    assert list(made) == ["transformer", "decoder"]
    first, second = made["transformer"].transformer, made["decoder"].decoder
    assert first is not None
    assert second is not None
    assert (first.guesses, second.guesses) == (guesses, guesses)
    assert (first.start, first.tokenizer, second.tokenizer) == ("model",) * 3
    assert second.transformer == str(tmp_path / "transformer")
    assert made["transformer"].model["dim"] == transformer.dim
    assert made["transformer"].data.crop_scale == 0.25


def test_small_pictures_are_not_cropped_below_the_view(tmp_path: Path) -> None:
    """Would catch crops of 16 pixels, enlarged to 64: pictures of the size of the view are taken whole."""
    plan = replace(PLAN_OF_TWO, pictures=replace(COUNTS, side=64))
    made = recipes(plan, tmp_path, *configs("photo"))
    assert {recipe.data.crop_scale for recipe in made.values()} == {1.0}


def test_minutes_become_steps_of_both_stages() -> None:
    """Would catch minutes spent on one stage, or a pace taken for the other's."""
    seconds = {"transformer": 1.5, "decoder": 3.0}
    steps = shared_out(15.0, seconds)
    assert sum(steps[stage] * seconds[stage] for stage in steps) == pytest.approx(900, rel=0.01)
    assert steps["transformer"] / steps["decoder"] == pytest.approx(
        STEPS["transformer"] / STEPS["decoder"], rel=0.02
    )


def test_too_few_minutes_say_how_many_it_takes() -> None:
    """Would catch a training that is over before it has begun, and a remedy that is refused in turn."""
    seconds = {"transformer": 1.5, "decoder": 3.0}
    with pytest.raises(ConfigError, match=r"--minutes 0\.5") as refused:
        shared_out(0.5, seconds)
    least = float(str(refused.value).split("give ")[1].split(" or")[0])
    assert min(shared_out(least, seconds).values()) >= 20


def test_the_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    assert read_plan(tmp_path) is None
    write_plan(tmp_path, PLAN_OF_TWO)
    assert read_plan(tmp_path) == PLAN_OF_TWO


def test_a_plan_without_a_format_is_read(tmp_path: Path) -> None:
    """Would catch runs begun before plans had a format that can no longer be resumed."""
    write_plan(tmp_path, PLAN_OF_TWO)
    content = json.loads((tmp_path / PLAN).read_text())
    assert content.pop("format") == 1
    (tmp_path / PLAN).write_text(json.dumps(content))
    assert read_plan(tmp_path) == PLAN_OF_TWO


def test_a_plan_of_a_newer_format_says_upgrade(tmp_path: Path) -> None:
    """Would catch advice to restart a run that a newer version can continue."""
    (tmp_path / PLAN).write_text('{"format": 2, "stages": []}')
    with pytest.raises(TrainingError, match="format 2, this version reads up to 1: upgrade maskmend"):
        read_plan(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"model": 5}', '{"format": 0}', '{"format": null}'])
def test_a_damaged_plan_is_one_line(content: str, tmp_path: Path) -> None:
    """Would catch a traceback, and a run begun anew over one of many hours."""
    (tmp_path / PLAN).write_text(content)
    with pytest.raises(TrainingError, match="--restart"):
        read_plan(tmp_path)


def test_the_table_says_time_here_and_gain_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch times of another machine, and a gain claimed for a length that nobody measured."""
    rows = (MeasuredRun(100, 100, -0.05, -0.08, -0.02), MeasuredRun(400, 400, -0.1, -0.14, -0.06))
    monkeypatch.setattr(prices, "MEASURED", rows)
    lines = price_list(PLAN_OF_TWO)
    assert any(
        line.split() == ["400", "+", "400", "30", "min", "-10%", "[-14%,", "-6%]", "<-", "this", "run"]
        for line in lines
    )
    assert any("100 + 100" in line and "8 min" in line and "this run" not in line for line in lines)
    other = price_list(replace(PLAN_OF_TWO, steps={"transformer": 200, "decoder": 200}))
    (mine,) = [line for line in other if "this run" in line]
    assert "200 + 200" in mine
    assert "15 min" in mine
    assert "not measured" in mine
