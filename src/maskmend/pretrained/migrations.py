"""Names of format 1 and their equivalents since format 2 (docs/model-format.md).

Formats 1 and 2 differ in names only: those of weights in the tokenizer's decoder, of two choices in the
configurations, and of entries in training checkpoints. No tensor changes. Folders, checkpoints and recipes
with old names are read through this module; nothing else in the package knows them.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

FORMAT = 2
"""Of the model folders and checkpoints that this version writes; it reads this one and those before it."""

WEIGHTS = {
    "decoder.enter.": "decoder.conv_in.",
    "decoder.leave.": "decoder.conv_out.",
    "decoder.known.enter.": "decoder.known_encoder.conv_in.",
    "decoder.known.blocks.": "decoder.known_encoder.blocks.",
    "decoder.known.halvings.": "decoder.known_encoder.downsamples.",
    "decoder.known.merges.": "decoder.known_encoder.zero_convs.",
}
"""Prefixes of the names of weights."""

CHOICES = {"attention": {"context": "prefix"}, "design": {"lab": "coursework"}}
"""Values of settings in the configuration of a component and in the [model] table of a recipe."""

LATER = (("attention", True), ("downsampling", "convolution"))
"""Settings of the tokenizer that format 1 did not have, at their defaults."""

PRESETS = {"report": "coursework"}
"""Names of presets of a recipe."""

SETTINGS = {"decoder": {"judges": "discriminators"}}
"""Names of settings in the tables of a recipe."""

QUANTIZER_STATE = {"use": "cluster_size", "total": "embed_avg", "started": "initialised"}
"""The quantizer's training state in a checkpoint."""


def migrate_name(name: str) -> str:
    """The present name of a weight that format 1 calls `name`."""
    return _with_prefix(name, WEIGHTS)


def name_in_format_1(name: str) -> str:
    """The inverse of `migrate_name`."""
    return _with_prefix(name, {now: before for before, now in WEIGHTS.items()})


def migrate_weights(weights: Mapping[str, T]) -> dict[str, T]:
    """A state dict of format 1 with the present names, in the same order."""
    return {migrate_name(name): value for name, value in weights.items()}


def migrate_config(config: Any) -> Any:
    """The configuration of a component in format 1 with the present names of its choices."""
    return _with_choices(config, CHOICES)


def config_in_format_1(config: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `migrate_config`; later settings with default values are left out."""
    config = {key: value for key, value in config.items() if (key, value) not in LATER}
    inverse = {key: {now: before for before, now in names.items()} for key, names in CHOICES.items()}
    return _with_choices(config, inverse)


def migrate_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with the present names. Old names stay valid in recipes, which have no format.

    Where both the old and the new name of a setting are given, the new one counts.
    """
    found = dict(recipe)
    if isinstance(found.get("preset"), str):
        found["preset"] = PRESETS.get(found["preset"], found["preset"])
    found |= {"model": migrate_config(found["model"])} if "model" in found else {}
    for table, names in SETTINGS.items():
        if isinstance(found.get(table), Mapping):
            renamed = {names[key]: value for key, value in found[table].items() if key in names}
            found[table] = renamed | {key: value for key, value in found[table].items() if key not in names}
    return found


def migrate_checkpoint(content: Mapping[str, Any]) -> dict[str, Any]:
    """A training checkpoint of format 1 with the present names."""
    stage = dict(content["stage"])
    stage["ema"] = stage.pop("average")
    for part in ("model", "ema"):
        stage[part] = migrate_weights(stage[part])
    if "quantizer" in stage:
        stage["quantizer"] = {QUANTIZER_STATE[name]: value for name, value in stage["quantizer"].items()}
    return {**content, "format": FORMAT, "stage": stage, "recipe": migrate_recipe(content["recipe"])}


def _with_prefix(name: str, prefixes: Mapping[str, str]) -> str:
    for before, now in prefixes.items():
        if name.startswith(before):
            return now + name.removeprefix(before)
    return name


def _with_choices(config: Any, choices: Mapping[str, Mapping[str, str]]) -> Any:
    if not isinstance(config, Mapping):  # refused by its reader
        return config
    return {
        key: choices[key].get(value, value) if key in choices and isinstance(value, str) else value
        for key, value in config.items()
    }
