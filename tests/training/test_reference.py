"""The page of settings: catches a setting that was added or changed without its documentation."""

from pathlib import Path

import pytest

from maskmend.training.reference import TABLES, field_notes, settings_page

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), (
        "run: python -m maskmend.training.reference > docs/settings.md"
    )


@pytest.mark.parametrize("config", [config for _, config in TABLES], ids=lambda c: c.__name__)
def test_notes_are_found_under_the_fields(config: type) -> None:
    notes = field_notes(config)
    assert notes
    assert all(note.strip() for note in notes.values())


def test_the_page_tells_what_the_recipes_preset_changes() -> None:
    """Catches defaults of a preset that no recipe has, and of the other nothing."""
    page = settings_page()
    for line in (
        "| tokenizer | `encoder_channels` | `(32, 32, 64, 128)` | `(128, 128, 128, 256, 256, 512)` |",
        "| tokenizer | `quantizer.code_dim` | `32` | `256` |",
        "| transformer | `attention` | `'prefix'` | `'full'` |",
    ):
        assert line in page
    assert "| tokenizer | `resolution` |" not in page  # the same in both
