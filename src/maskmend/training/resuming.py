"""Going on with a run from its checkpoint, perhaps under a recipe that has changed since.

What the model is must not have changed; the rest may. With other settings of the stage, or other validation
pictures, the lowest loss begins anew: the run would else keep weights for a loss that meant something else.
"""

import dataclasses
from pathlib import Path
from typing import Any

from maskmend.config import to_dict
from maskmend.errors import ConfigError, TrainingError
from maskmend.training import checkpoint
from maskmend.training.recipe import Recipe
from maskmend.training.stages.stage import Stage


def resume_run(stage: Stage, path: Path, recipe: Recipe) -> tuple[int, float | None, list[str]]:
    """Step, lowest validation loss so far, and the settings that are no longer what they were.

    Raises TrainingError for a run that `stage` cannot go on with.
    """
    content = checkpoint.read(path)
    before, now = _with_defaults(content["recipe"], recipe), to_dict(recipe)
    changed = [name for name in ("stage", "preset", "model") if before.get(name) != now.get(name)]
    if changed:
        raise TrainingError(
            f"{path.parent} holds a run with another {changed[0]} ({before.get(changed[0])!r}, now "
            f"{now.get(changed[0])!r}): choose another --output, or --restart to begin anew"
        )
    table = recipe.stage
    differing = _changes(before.get(table) or {}, now.get(table) or {}, f"{table}.")
    try:
        stage.load_state(content["stage"])
    except (ConfigError, RuntimeError, ValueError, KeyError) as error:
        # A discriminator of another size, or none before: what PyTorch says of that names no setting.
        own = isinstance(error, ConfigError) or not differing
        reason = checkpoint.one_line(error) if own else ", ".join(differing)
        raise TrainingError(
            f"{path.parent} holds a run that this recipe does not fit ({reason}): "
            "choose another --output, or --restart to begin anew"
        ) from error
    seen = (before["data"]["validation"], before["training"]["validation_images"])
    same = not differing and seen == (now["data"]["validation"], now["training"]["validation_images"])
    return int(content["step"]), content["best"] if same else None, _changes(before, now)


def _with_defaults(before: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The recipe of a run, with what this version can set and that one could not at its default."""
    full = dict(before)
    for name, table in vars(recipe).items():
        if dataclasses.is_dataclass(table) and isinstance(before.get(name), dict):
            known = {field.name: field.default for field in dataclasses.fields(table)}
            defaults = {name: value for name, value in known.items() if value is not dataclasses.MISSING}
            full[name] = {name: value for name, value in defaults.items() if value is not None} | before[name]
    return full


def _changes(before: dict[str, Any], now: dict[str, Any], where: str = "") -> list[str]:
    """The settings that differ, "table.name = value, was value"; those that a version knew and this one does
    not are left out."""
    found = []
    for name in sorted(before.keys() & now.keys()):
        old, new = before[name], now[name]
        if isinstance(old, dict) and isinstance(new, dict):
            found += _changes(old, new, f"{where}{name}.")
        elif old != new:
            found.append(f"{where}{name} = {new!r}, was {old!r}")
    return found
