"""Recipes: unknown names and impossible values are one clear line, and the shipped ones are sound."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from maskmend.config import from_dict, merge, override, read_toml, to_dict
from maskmend.errors import ConfigError
from maskmend.models.tokenizer_config import small_config
from maskmend.training.recipe import Recipe
from maskmend.training.run import TOKENIZERS, configured
from maskmend.training.run_config import DataConfig, TrainingConfig
from maskmend.training.stage_config import DecoderTraining, TokenizerTraining, TransformerTraining
from maskmend.training.stages.decoder import fine_tuned_config
from maskmend.training.stages.transformer import TRANSFORMERS

SHIPPED = sorted((Path(__file__).parents[2] / "recipes").rglob("*.toml"))

SMALLEST: dict[str, Any] = {
    "stage": "transformer",
    "data": {"train": "a", "validation": "b"},
    "training": {"steps": 1},
    "transformer": {"tokenizer": "c"},
}


def recipe(**tables: Any) -> Recipe:
    return from_dict(Recipe, merge(SMALLEST, tables))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_sound(path: Path) -> None:
    """Would catch a setting renamed in the code and not in the recipes."""
    read = from_dict(Recipe, read_toml(path))
    if read.stage == "decoder":
        # The trained tokenizer has a branch already in some recipes, and none in others.
        trained = (
            small_config(known_channels=(32, 64, 128)) if "known_guesses" in read.model else small_config()
        )
        model = fine_tuned_config(trained, read.model)
    else:
        model = configured(TOKENIZERS if read.stage == "tokenizer" else TRANSFORMERS, read)
    assert model.grid >= 1
    assert from_dict(Recipe, to_dict(read)) == read


def test_there_are_shipped_recipes() -> None:
    """Would catch the test above running over nothing."""
    assert SHIPPED


@pytest.mark.parametrize(
    ("table", "name", "suggestion"),
    [
        ("training", "step", "steps"),
        ("training", "checkpoint", "checkpoint_every"),
        ("data", "crop_scael", "crop_scale"),
        ("transformer", "label_smooth", "label_smoothing"),
        ("tokenizer", "perceptual_weight", "perceptual_weights"),
    ],
)
def test_unknown_setting_is_named_and_the_nearest_suggested(table: str, name: str, suggestion: str) -> None:
    """Would catch a misspelt setting that is silently left at its default for hours of training."""
    with pytest.raises(ConfigError) as caught:
        recipe(**{table: {name: 1}})
    assert f"'{table}.{name}'" in str(caught.value)
    assert f"did you mean '{suggestion}'" in str(caught.value)


def test_unknown_table_and_preset_and_model_setting() -> None:
    """Would catch a table left out of the check."""
    with pytest.raises(ConfigError, match=r"'trainig'.*'training'"):
        recipe(trainig={})
    with pytest.raises(ConfigError, match=r"'smal'.*'small'"):
        configured(TRANSFORMERS, recipe(preset="smal"))
    with pytest.raises(ConfigError, match=r"'model\.layer'.*'layers'"):
        configured(TRANSFORMERS, recipe(model={"layer": 2}))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(
            (f"training.{name}", 0)
            for name in ("steps", "batch", "accumulate", "log_every", "validate_every")
        ),
        *((f"training.{name}", 0) for name in ("checkpoint_every", "picture_every", "validation_images")),
        *((f"training.{name}", 0.0) for name in ("lr", "clip")),
        *((f"training.{name}", float("inf")) for name in ("lr", "clip", "weight_decay")),
        *((f"training.{name}", float("nan")) for name in ("lr", "clip", "weight_decay", "final_lr", "ema")),
        *((f"training.{name}", 1.0) for name in ("ema", "beta1", "beta2")),
        *((f"training.{name}", -1) for name in ("warmup", "seed", "threads")),
        ("training.final_lr", 1.5),
        ("training.accumulate", 5),
        ("training.precision", "fp16"),
        ("training.steps", 1.5),
        ("training.steps", "many"),
        ("training.batch", True),
        ("data.crop_scale", 0.0),
        ("data.crop_scale", 1.1),
        ("data.colour", 0.6),
        ("data.cache_gib", -1.0),
        ("tokenizer.perceptual", -1.0),
        ("tokenizer.perceptual_share", 1.5),
        ("tokenizer.perceptual_net", "vgg19"),
        ("tokenizer.adversarial", -0.1),
        ("tokenizer.adversarial_start", -1),
        ("tokenizer.discriminator_channels", 6),
        ("transformer.bernoulli", -1.0),
        ("transformer.bernoulli_p", 1.1),
        ("transformer.label_smoothing", 1.1),
        ("transformer.replace", -0.1),
        ("transformer.schedule", "cosin"),
        ("transformer.infill", "gray"),
        ("transformer.loss_on", "hidden"),
        ("stage", "decoder"),
        ("preset", 3),
    ],
)
def test_impossible_values_name_setting_and_value(setting: str, value: Any) -> None:
    """Would catch a value that fails deep in the run, with a traceback, or not at all."""
    table, _, name = setting.rpartition(".")
    with pytest.raises(ConfigError) as caught:
        recipe(**({table: {name: value}} if table else {name: value}))
    message = str(caught.value)
    assert setting in message
    assert str(value) in message
    assert "\n" not in message


def test_all_mask_weights_zero() -> None:
    """Would catch a division by zero in the first step."""
    names = ("bernoulli", "scheduled", "boxes", "strokes", "random_walk")
    with pytest.raises(ConfigError, match="positive weight"):
        recipe(transformer=dict.fromkeys(names, 0.0))


def test_transformer_recipe_needs_a_tokenizer() -> None:
    """Would catch an AttributeError on None."""
    with pytest.raises(ConfigError, match="tokenizer"):
        from_dict(Recipe, {k: v for k, v in SMALLEST.items() if k != "transformer"})
    with pytest.raises(ConfigError, match=r"missing setting 'transformer\.tokenizer'"):
        from_dict(Recipe, SMALLEST | {"transformer": {}})


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("training.steps", "key=value"),
        ("=5", "key=value"),
        ("training.stesp=5", "did you mean 'steps'"),
        ("training.steps=", "give a whole number"),
        ("training.steps=5.5", "give a whole number"),
        ("training.steps.more=5", "is a value, not a table"),
        ("training=5", "expected a table"),
        ("model.layer=2", "did you mean 'layers'"),
    ],
)
def test_assignments_that_cannot_be(assignment: str, words: str) -> None:
    """Would catch a --set that is silently ignored, or ends in a traceback."""
    with pytest.raises(ConfigError, match=words):
        configured(TRANSFORMERS, from_dict(Recipe, override(SMALLEST, [assignment])))


def test_assignments_change_the_recipe_and_nothing_else() -> None:
    """Would catch --set writing into the table it was given, or dropping its neighbours."""
    changed = override(SMALLEST, ["training.lr=3e-4", "model.quantizer.codes=64", "data.train=some/where"])
    read = from_dict(Recipe, changed)
    assert (read.training.lr, read.training.steps, read.data.train) == (3e-4, 1, "some/where")
    assert read.model == {"quantizer": {"codes": 64}}
    assert SMALLEST["training"] == {"steps": 1}


def test_settings_are_frozen_by_name() -> None:
    """Would catch a setting renamed or dropped: recipes and running experiments depend on the names."""
    tables = (
        Recipe, DataConfig, TrainingConfig, TokenizerTraining, DecoderTraining, TransformerTraining,
    )  # fmt: skip
    names = {table.__name__: " ".join(field.name for field in dataclasses.fields(table)) for table in tables}
    losses = (
        "perceptual perceptual_net perceptual_weights perceptual_share "
        "adversarial feature_adversarial classifier classifier_adversarial classifier_weights "
        "adversarial_start adversarial_ramp "
        "discriminator_channels discriminator_layers"
    )
    assert names == {
        "Recipe": "stage data training preset model tokenizer transformer decoder",
        "DataConfig": "train validation side crop_scale colour cache_gib workers",
        "TrainingConfig": "steps batch parallel recompute accumulate lr final_lr warmup beta1 beta2 "
        "weight_decay clip ema seed log_every validate_every checkpoint_every picture_every "
        "validation_images keep precision device threads tensorboard",
        "TokenizerTraining": f"{losses} start holes quantize_from",
        "DecoderTraining": f"{losses} tokenizer transformer temperature steps discriminators "
        "discriminator_warmup whole boxes strokes random_walk scratches text blobs guesses window_holes "
        "hole_weight infill",
        "TransformerTraining": "tokenizer start bernoulli bernoulli_p scheduled schedule boxes strokes "
        "random_walk scratches text blobs guesses window_holes loss_on label_smoothing infill codebook_start "
        "replace",
    }


@pytest.mark.parametrize("folder", sorted({path.parent for path in SHIPPED}), ids=lambda folder: folder.name)
def test_a_script_runs_the_recipes_in_the_order_of_their_numbers(folder: Path) -> None:
    """Would catch a recipe that no script runs, and one that runs before what it starts from."""
    script = (folder / "train.sh").read_text()
    run_by_script = re.findall(rf"recipes/{folder.name}/(\S+\.toml)", script)
    recipes = sorted(path.name for path in folder.glob("*.toml"))
    assert run_by_script == recipes
    assert [name[:2] for name in recipes] == [f"{number:02d}" for number in range(1, len(recipes) + 1)]
