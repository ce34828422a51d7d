"""`fills.json`: catches a record that claims what is not so of the pictures beside it."""

import json
from pathlib import Path

import pytest

from maskmend.batch.manifest import LIKELIEST, NAME, NOTES, OLDER, FillsRecord, begin_record
from maskmend.errors import ConfigError

SETTINGS = {"seed": 3, "steps": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two fills each of two images."""
    for name in ("a-1.png", "a-2.png", "b-1.png", "b-2.png"):
        (tmp_path / name).write_bytes(b"picture")
    return tmp_path


def write(folder: Path, **more: object) -> None:
    (folder / NAME).write_text(json.dumps(SETTINGS | more))


def read(folder: Path) -> dict[str, object]:
    return json.loads((folder / NAME).read_text())


def begin(folder: Path, made: str = "ab", **changes: object) -> FillsRecord:
    options = {"overwrite": bool(changes.pop("overwrite", False)), "pictures": bool(made)}
    return begin_record(folder, SETTINGS | changes, {f"{name}.jpg" for name in made}, **options)


def test_a_new_folder_has_its_settings_written_down(tmp_path: Path) -> None:
    """Would catch a run stopped at its first picture, after which nobody knows how that was made."""
    record = begin(tmp_path, made="")
    assert read(tmp_path) == SETTINGS
    assert (record.older, record.likeliest, record.kept) == (frozenset(), {}, True)


def test_the_same_settings_go_on(folder: Path) -> None:
    """Would catch what is noted of earlier runs forgotten; a setting without a value is none."""
    (folder / NAME).write_text(
        json.dumps({"seed": 3, OLDER: ["b.jpg"], LIKELIEST: {"a.jpg": "a-2.png", "b.jpg": "b-1.png"}})
    )
    before = (folder / NAME).read_bytes()
    record = begin(folder)
    assert record.older == {"b.jpg"}
    assert record.likeliest == {"a.jpg": "a-2.png", "b.jpg": "b-1.png"}
    assert (folder / NAME).read_bytes() == before


@pytest.mark.parametrize("gone", ["a-2.png", "", "c/" + 300 * "a", "nowhere/../a-7.png"])
def test_a_likeliest_fill_that_is_gone_is_struck_out(folder: Path, gone: str) -> None:
    """Would catch a path in fills.json at which there is no file, with the same settings or others."""
    write(folder, **{LIKELIEST: {"a.jpg": gone, "b.jpg": "b-1.png"}})
    (folder / "a-2.png").unlink()
    assert begin(folder).likeliest == {"b.jpg": "b-1.png"}
    assert read(folder) == SETTINGS | {LIKELIEST: {"b.jpg": "b-1.png"}}
    write(folder, **{LIKELIEST: {"a.jpg": gone, "b.jpg": "b-1.png"}})
    assert begin(folder, seed=4, overwrite=True).likeliest == {"b.jpg": "b-1.png"}
    assert read(folder)[LIKELIEST] == {"b.jpg": "b-1.png"}


def test_other_settings_are_refused_or_noted(folder: Path) -> None:
    """Would catch two seeds in one folder and nothing that tells them apart."""
    write(folder, **{LIKELIEST: {"a.jpg": "a-2.png"}})
    with pytest.raises(ConfigError, match=r"seed = 3 \(now 4\): give --overwrite"):
        begin(folder, seed=4)
    assert read(folder) == SETTINGS | {LIKELIEST: {"a.jpg": "a-2.png"}}
    record = begin(folder, seed=4, overwrite=True)
    assert read(folder) == {
        "seed": 4,
        "steps": None,
        OLDER: ["a.jpg", "b.jpg"],
        LIKELIEST: {"a.jpg": "a-2.png"},
    }
    assert record.older == {"a.jpg", "b.jpg"}


def test_a_fill_takes_the_place_of_what_was_said_of_its_image(folder: Path) -> None:
    """Would catch a likeliest fill of settings that are gone, and one of an image that has a single fill."""
    write(folder, **{LIKELIEST: {"a.jpg": "a-2.png", "b.jpg": "b-1.png"}})
    record = begin(folder, seed=4, overwrite=True).after("a.jpg", "a-1.png").after("b.jpg", None)
    (content,) = record.file.values()
    assert json.loads(content) == {"seed": 4, "steps": None, LIKELIEST: {"a.jpg": "a-1.png"}}


def test_a_note_stays_as_long_as_the_fill_it_is_about(folder: Path) -> None:
    """Would catch a note forgotten by the next run, kept for another fill, or taken for a setting."""
    write(folder, **{NOTES: {"a.jpg": "unlike", "b.jpg": "unlike", "gone.jpg": "unlike"}})
    record = begin(folder)
    assert record.notes == {"a.jpg": "unlike", "b.jpg": "unlike"}
    (content,) = record.after("a.jpg", None, None).after("b.jpg", None, "little").file.values()
    assert json.loads(content)[NOTES] == {"b.jpg": "little"}


def test_of_pictures_without_a_record_nothing_is_claimed(folder: Path) -> None:
    """Would catch pictures of unknown settings called those of the first run that looks at them."""
    record = begin(folder)
    assert not record.kept
    assert record.after("a.jpg", "a-1.png").file == {}
    assert not (folder / NAME).exists()


@pytest.mark.parametrize(
    "noted",
    [{OLDER: "a.jpg"}, {LIKELIEST: ["a-1.png"]}, {LIKELIEST: None, OLDER: None}, {NOTES: ["a"]}],
    ids=str,
)
def test_notes_of_another_shape_say_nothing(folder: Path, noted: dict[str, object]) -> None:
    """Would catch a traceback for a file that an editor spoilt."""
    write(folder, **noted)
    record = begin(folder)
    assert (record.older, record.likeliest) == (frozenset(), {})
