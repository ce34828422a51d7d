"""Generates the page of all settings (docs/settings.md) from the dataclasses and their docstrings.

python -m maskmend.training.reference > docs/settings.md
"""

import ast
import dataclasses
import inspect
import json
from typing import Any

from maskmend.assets import ASSETS, DEFAULT
from maskmend.models import transformer, vqgan
from maskmend.models.quantizer import QuantizerConfig
from maskmend.models.transformer import TransformerConfig
from maskmend.models.vqgan import TokenizerConfig
from maskmend.settings import Settings
from maskmend.training.recipe import (
    DataConfig,
    DecoderTraining,
    Recipe,
    TokenizerTraining,
    TrainingConfig,
    TransformerTraining,
)

TABLES: tuple[tuple[str, type], ...] = (
    ('Filling: arguments of a call, `--set` of `maskmend inpaint`, "defaults" of a model folder', Settings),
    ("The top of a recipe", Recipe),
    ("[data]", DataConfig),
    ("[training]", TrainingConfig),
    ("[tokenizer]: training of stage 1", TokenizerTraining),
    ("[transformer]: training of stage 2", TransformerTraining),
    ("[decoder]: training of the decoder that sees the known pixels", DecoderTraining),
    ("[model] of a tokenizer (defaults of the preset `coursework`; `small` at the end)", TokenizerConfig),
    ("[model.quantizer]", QuantizerConfig),
    ("[model] of a transformer (defaults of the preset `coursework`; `small` at the end)", TransformerConfig),
)


def field_notes(config: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, inherited fields included, on one line."""
    notes = {}
    for owner in reversed(config.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        (definition,) = ast.parse(inspect.cleandoc(inspect.getsource(owner))).body
        assert isinstance(definition, ast.ClassDef)
        for before, after in zip(definition.body, definition.body[1:], strict=False):
            match before, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=note)):
                    notes[name] = " ".join(str(note).split())
    return notes


def default_of(field: dataclasses.Field) -> str:
    """The default as a recipe would write it."""
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`" if field.default is not None else "none"
    return "required" if field.default_factory is dataclasses.MISSING else "see below"


def changes(small: Any, coursework: Any, within: str = "") -> dict[str, tuple[object, object]]:
    """Settings in which two configurations differ, with both values."""
    found: dict[str, tuple[object, object]] = {}
    for field in dataclasses.fields(small):
        name, ours, theirs = within + field.name, getattr(small, field.name), getattr(coursework, field.name)
        if dataclasses.is_dataclass(ours):
            found |= changes(ours, theirs, f"{name}.")
        elif ours != theirs:
            found[name] = ours, theirs
    return found


def preset_lines() -> list[str]:
    """What the preset `small` changes."""
    lines = [
        "## The preset `small`",
        "",
        "For CPU cores, and a recipe's unless it names another. What is not listed is as in `coursework`.",
        "",
        "| [model] of a | setting | `small` | `coursework` |",
        "| --- | --- | --- | --- |",
    ]
    for model, small, coursework in (
        ("tokenizer", vqgan.small_config(), vqgan.coursework_config()),
        ("transformer", transformer.small_config(), transformer.coursework_config()),
    ):
        for name, (ours, theirs) in changes(small, coursework).items():
            lines.append(f"| {model} | `{name}` | `{ours!r}` | `{theirs!r}` |")
    lines += [
        "",
        "## The presets `large` and `huge`",
        "",
        "Transformers for GPUs, of 300 million and of a thousand million weights. What is not listed is as "
        "in `small`.",
        "",
        "| [model] of a | setting | `large` | `huge` | `small` |",
        "| --- | --- | --- | --- | --- |",
    ]
    small, large, huge = transformer.small_config(), transformer.large_config(), transformer.huge_config()
    for name, (value, other) in changes(large, small).items():
        lines.append(f"| transformer | `{name}` | `{value!r}` | `{getattr(huge, name)!r}` | `{other!r}` |")
    return [*lines, ""]


def model_defaults() -> dict[str, Any]:
    """Settings of the default model that are others than those of `Settings`."""
    index = json.loads((ASSETS / DEFAULT / "model_index.json").read_text(encoding="utf-8"))
    general = dataclasses.asdict(Settings())
    return {name: value for name, value in index["defaults"].items() if general[name] != value}


def settings_page() -> str:
    """The whole page as Markdown."""
    lines = [
        "# All settings",
        "",
        "Made by `python -m maskmend.training.reference`; a test keeps it current.",
        "",
    ]
    for title, config in TABLES:
        notes = field_notes(config)
        models = model_defaults() if config is Settings else {}
        column, bar = (f" {DEFAULT} |", " --- |") if models else ("", "")
        lines += [f"## {title}", ""]
        if models:
            lines += [
                f"A model's own defaults go before these: the third column is where `{DEFAULT}` has others.",
                "",
            ]
        lines += [f"| setting | default |{column} meaning |", f"| --- | --- |{bar} --- |"]
        for field in dataclasses.fields(config):
            own = models.get(field.name, dataclasses.MISSING)
            cell = f" `{own!r}` |" if own is not dataclasses.MISSING else " |" if models else ""
            lines.append(f"| `{field.name}` | {default_of(field)} |{cell} {notes.get(field.name, '')} |")
        lines.append("")
    return "\n".join(lines + preset_lines())


if __name__ == "__main__":
    print(settings_page(), end="")
