"""The plan of a training says what a run then takes."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from maskmend.cli import main
from maskmend.errors import ConfigError
from maskmend.models.transformer import MaskedTransformer, huge_config, large_config
from maskmend.training.plan import make_plan, probe, report
from maskmend.training.recipe import Recipe
from maskmend.training.run import build_stage

CPU = torch.device("cpu")
MODEL = {"dim": 32, "mlp": 64, "layers": 5, "hints": True, "attention": "prefix"}


class Clock:
    """Goes on by a second whenever it is asked: no test depends on the machine."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def recipe(make_recipe) -> Recipe:
    """Of a transformer of five blocks, eight pictures at once."""
    return make_recipe("transformer", model=MODEL, training={"batch": 8, "device": "cpu"})


def test_presets_have_the_size_they_name() -> None:
    """Would catch a preset of another size than its documentation says."""
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in MaskedTransformer(config).parameters())
            for config in (large_config(codes=8192, grid=32), huge_config(codes=8192, grid=32))
        ]
    assert sizes == [pytest.approx(3e8, rel=0.07), pytest.approx(1e9, rel=0.07)]


def test_the_plan_is_what_the_whole_model_takes(recipe: Recipe) -> None:
    """Would catch memory or operations drawn out wrongly from one and two blocks: within 15 % of those of
    all five over all pictures, which are counted."""
    plan = make_plan(recipe, clock=Clock())
    stage = build_stage(recipe, CPU)
    assert plan.parameters == sum(p.numel() for p in stage.model.parameters())  # type: ignore[attr-defined]
    whole = probe(recipe, 5, 1, 8, CPU, Clock())
    assert plan.activations == pytest.approx(whole.kept, rel=0.15)
    assert plan.operations == pytest.approx(whole.operations, rel=0.15)
    assert plan.allocated > 4 * 4 * plan.parameters
    assert plan.memory == plan.allocated + plan.freed
    assert (plan.freed > 0) == (sys.platform == "linux")
    assert any("freed blocks" in line for line in report(plan, recipe)) == (plan.freed > 0)
    less = make_plan(replace(recipe, training=replace(recipe.training, recompute=True)), clock=Clock())
    assert less.activations < 0.6 * plan.activations


def test_devices_share_weights_and_pictures(recipe: Recipe) -> None:
    """Would catch a plan for many devices that is that of one."""
    one = make_plan(recipe, tflops=0.5, clock=Clock())
    sharded = replace(recipe, training=replace(recipe.training, parallel="fsdp"))
    four = make_plan(sharded, devices=4, tflops=0.5, clock=Clock())
    assert four.weights == one.weights // 4
    assert four.activations == pytest.approx(one.activations / 4, rel=0.05)
    assert four.operations == pytest.approx(one.operations, rel=0.05)
    assert four.seconds == pytest.approx(one.seconds / 4, rel=0.05)
    assert one.seconds == pytest.approx(one.operations / 0.5e12)
    assert one.sent == 0 < four.sent
    assert one.freed == 0  # whatever reaches such a speed
    assert any("not measured" in line for line in report(four, sharded))
    parts = replace(sharded, training=replace(sharded.training, accumulate=2))
    twice = make_plan(parts, devices=4, tflops=0.5, clock=Clock())
    # Weights are gathered for two passes of each micro-batch; gradients are sent once, and wait in one piece.
    assert twice.sent == pytest.approx(four.sent * 5 / 3)
    assert twice.gradients == 4 * twice.parameters
    with pytest.raises(ConfigError, match="does not split over 3 devices"):
        make_plan(recipe, devices=3)


def test_the_command_prints_a_plan(recipe: Recipe, tmp_path: Path) -> None:
    """Would catch an option that trains instead, and figures without their unit."""
    assert recipe.transformer is not None
    file = tmp_path / "recipe.toml"
    file.write_text(
        f"""
        data = {{ train = "{recipe.data.train}", validation = "{recipe.data.validation}" }}
        training = {{ steps = 1000, batch = 4, device = "cpu" }}
        transformer = {{ tokenizer = "{recipe.transformer.tokenizer}" }}
        model = {{ dim = 16, heads = 2, layers = 3, mlp = 16 }}
        """
    )
    command = ["train", "transformer", "--config", str(file), "--plan"]
    result = CliRunner().invoke(main, [*command, "--devices", "2", "--tflops", "0.001"])
    assert result.exit_code == 0, result.output
    for words in ("million weights", "memory a device", "GiB", "TFLOP a step", "steps a day", "days"):
        assert words in result.output
    refused = CliRunner().invoke(main, [*command[:-1], "--tflops", "3"])
    assert refused.exit_code == 2
    assert "--tflops" in refused.output
    tokenizer = CliRunner().invoke(main, ["train", "tokenizer", "--config", str(file), "--plan"])
    assert tokenizer.exit_code == 2
    assert "for transformers" in tokenizer.output
    file.write_text('stage = "transformer"\n' + file.read_text())
    other = CliRunner().invoke(main, ["train", "tokenizer", "--config", str(file), "--plan"])
    assert other.exit_code == 2
    assert "is a recipe for stage 'transformer', asked for 'tokenizer'" in other.output


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        (["--on", "photos", "-o", "out", "--devices", "2"], "--devices"),
        (["--on", "photos", "-o", "out", "--tflops", "2"], "--tflops"),
        (["transformer", "--config", "recipe.toml", "--plan", "--restart"], "--restart"),
        (["transformer", "--config", "recipe.toml", "--plan", "-o", "out"], "--output"),
    ],
)
def test_options_without_use_are_refused(command: list[str], refused: str) -> None:
    """Would catch an option that is passed over in silence, and a training where a plan was meant."""
    result = CliRunner().invoke(main, ["train", *command])
    assert result.exit_code == 2
    assert f"does not take {refused}" in result.output
