"""Resumes a run from its checkpoint, also with a recipe that has changed since.

The model must not have changed; the rest may. If settings of the stage or the validation images changed, the
lowest validation loss is reset, as losses before and after are not comparable.
"""

import dataclasses
from pathlib import Path
from typing import Any, cast

from maskmend.config import to_dict
from maskmend.errors import ConfigError, TrainingError
from maskmend.training import checkpoint, sharded_checkpoint
from maskmend.training.recipe import Recipe
from maskmend.training.stages.stage import Stage
from maskmend.training.stages.transformer import TransformerStage


def resume_run(stage: Stage, path: Path, recipe: Recipe) -> tuple[int, float | None, list[str]]:
    """Step, lowest validation loss so far, and the settings that have changed.

    Raises TrainingError for a run that `stage` cannot resume.
    """
    sharded = recipe.training.parallel == "fsdp"
    content = sharded_checkpoint.read(path) if sharded else checkpoint.read(path)
    before, now = _with_defaults(content["recipe"], recipe), to_dict(recipe)
    changed = [name for name in ("stage", "preset", "model") if before.get(name) != now.get(name)]
    if changed:
        raise TrainingError(
            f"{path.parent} holds a run with another {changed[0]} ({before.get(changed[0])!r}, now "
            f"{now.get(changed[0])!r}): choose another --output, or start over with --restart"
        )
    table = recipe.stage
    differing = _changes(before.get(table) or {}, now.get(table) or {}, f"{table}.")
    try:
        if sharded:
            load_sharded(cast("TransformerStage", stage), path, content)
        else:
            stage.load_state(content["stage"])
    except (ConfigError, RuntimeError, ValueError, KeyError) as error:
        # A discriminator of another size, or none before: the message of PyTorch names no setting.
        own = isinstance(error, ConfigError) or not differing
        reason = checkpoint.one_line(error) if own else ", ".join(differing)
        raise TrainingError(
            f"{path.parent} holds a run that this recipe does not fit ({reason}): "
            "choose another --output, or start over with --restart"
        ) from error
    validated = (before["data"]["validation"], before["training"]["validation_images"])
    same = not differing and validated == (now["data"]["validation"], now["training"]["validation_images"])
    return int(content["step"]), content["best"] if same else None, _changes(before, now)


def load_sharded(stage: TransformerStage, path: Path, content: dict[str, Any]) -> None:
    """Raises ConfigError where it was trained on other tokens, TrainingError where it cannot be read."""
    stage.check_tokenizer(content["tokenizer"])
    sharded_checkpoint.load(path, stage.tensors())


def _with_defaults(before: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The recipe of a run, with settings that its version did not have at their defaults."""
    full = dict(before)
    for name, table in vars(recipe).items():
        if dataclasses.is_dataclass(table) and isinstance(before.get(name), dict):
            known = {field.name: field.default for field in dataclasses.fields(table)}
            defaults = {name: value for name, value in known.items() if value is not dataclasses.MISSING}
            full[name] = {name: value for name, value in defaults.items() if value is not None} | before[name]
    return full


def _changes(before: dict[str, Any], now: dict[str, Any], where: str = "") -> list[str]:
    """The settings in both that differ, as "table.name = value, was value"."""
    found = []
    for name in sorted(before.keys() & now.keys()):
        old, new = before[name], now[name]
        if isinstance(old, dict) and isinstance(new, dict):
            found += _changes(old, new, f"{where}{name}.")
        elif old != new:
            found.append(f"{where}{name} = {new!r}, was {old!r}")
    return found
