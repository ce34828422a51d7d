"""A recipe: everything one training run depends on, as a TOML file (`maskmend train ... --config file.toml`).

    stage = "tokenizer"        [data] [model] [training] and [tokenizer], [transformer] or [decoder]

Each table is a dataclass that checks itself (`run_config`, `stage_config`); the docstring under a field is
its documentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from maskmend.config import from_dict, override, read_toml
from maskmend.errors import ConfigError
from maskmend.pretrained.migrations import migrate_recipe
from maskmend.training.run_config import DataConfig, TrainingConfig
from maskmend.training.stage_config import (  # noqa: F401 - moved
    DecoderTraining,
    ImageLossConfig,
    TokenizerTraining,
    TransformerTraining,
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    stage: Literal["tokenizer", "transformer", "decoder"]
    """What is trained: stage 1, stage 2, or the decoder of stage 1, conditioned on the known pixels."""
    data: DataConfig
    """Table, see below."""
    training: TrainingConfig
    """Table, see below."""
    preset: str = "small"
    """Preset of the model. The [model] table changes single settings of it."""
    model: dict[str, Any] = field(default_factory=dict)
    """Table, see below. Settings left out are those of the preset, or with stage "decoder" those of the
    trained tokenizer. If neither has `known_channels`, the decoder gets them, as wide as its own stages; []
    for none."""
    tokenizer: TokenizerTraining = field(default_factory=TokenizerTraining)
    """Table of stage 1, see below."""
    transformer: TransformerTraining | None = None
    """Table of stage 2, which needs it, see below."""
    decoder: DecoderTraining | None = None
    """Table of stage "decoder", which needs it, see below."""

    def __post_init__(self) -> None:
        if self.stage == "transformer" and self.transformer is None:
            raise ConfigError('stage = "transformer" needs a [transformer] table with tokenizer = "path"')
        for name, default in (("parallel", "ddp"), ("recompute", False)):
            value = getattr(self.training, name)
            if self.stage != "transformer" and value != default:
                raise ConfigError(
                    f"training.{name} = {value!r} with stage = {self.stage!r}: it is for transformers, "
                    "leave it out"
                )
        if self.stage == "decoder" and self.decoder is None:
            raise ConfigError('stage = "decoder" needs a [decoder] table with tokenizer = "path"')


def recipe_from_dict(tables: Mapping[str, Any]) -> Recipe:
    """The recipe in `tables`, which may use the names of older versions (`migrations.migrate_recipe`)."""
    return from_dict(Recipe, migrate_recipe(tables))


def read_recipe(stage: str, path: Path, assignments: tuple[str, ...] = ()) -> Recipe:
    """The recipe of a file, with settings changed ("training.steps=10").

    Raises ConfigError, also where it is one for another stage.
    """
    recipe = recipe_from_dict(override({"stage": stage, **read_toml(path)}, assignments))
    if recipe.stage != stage:
        raise ConfigError(f"{path} is a recipe for stage {recipe.stage!r}, asked for {stage!r}")
    return recipe
