"""Where a run goes when nobody says: runs of two recipes must not meet in one folder."""

from pathlib import Path

import pytest

from maskmend.cli.models import run_folder


@pytest.mark.parametrize(
    ("recipe", "folder"),
    [
        ("recipes/cats64/01-tokenizer.toml", "runs/cats64/01-tokenizer"),
        ("/somewhere/recipes/photo/03-decoder.toml", "runs/photo/03-decoder"),
        ("mine.toml", "runs/mine"),
        ("/somewhere/else/mine.toml", "runs/mine"),
    ],
)
def test_a_run_is_named_after_its_recipe(recipe, folder):
    assert run_folder(Path(recipe)) == Path(folder)
