"""The manifest `fills.json` of an output folder: settings, the best of several fills for each image (under
the key "likeliest", its original name), and notes on each image.

It is updated together with the pictures, so a run can be interrupted at any time.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from maskmend.errors import ConfigError
from maskmend.storage.files import file_exists, write_files

NAME = "fills.json"
OLDER = "made_otherwise"
"""Key in that file, beside the settings: images whose results still come from other settings."""
LIKELIEST = "likeliest"
"""Likewise: for each image with several fills, the path of the best one (see `ranking`)."""
NOTES = "notes"
"""Likewise: for each image whose fill has a note (`Inpainted.note`), that note."""


@dataclass(frozen=True, kw_only=True)
class FillsRecord:
    """The content of `path`, or what would be written there."""

    path: Path
    settings: dict[str, Any]
    older: frozenset[str] = frozenset()
    likeliest: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    kept: bool = True
    """False if the folder holds pictures with unknown settings: then the file is not written."""

    def after(self, name: str, likeliest: str | None, note: str | None = None) -> "FillsRecord":
        """Records that image `name` is filled; `likeliest` is None if there is only one fill."""
        return replace(
            self,
            older=self.older - {name},
            likeliest=_with(self.likeliest, name, likeliest),
            notes=_with(self.notes, name, note),
        )

    @property
    def file(self) -> dict[Path, bytes]:
        if not self.kept:
            return {}
        record = dict(self.settings)
        if self.older:
            record[OLDER] = sorted(self.older)
        if self.likeliest:
            record[LIKELIEST] = self.likeliest
        if self.notes:
            record[NOTES] = self.notes
        return {self.path: json.dumps(record, indent=2, sort_keys=True).encode()}


def begin_record(
    folder: Path, settings: dict[str, Any], made: set[str], *, pictures: bool, overwrite: bool
) -> FillsRecord:
    """Records the settings of a run, taking into account the pictures already in `folder`.

    `made` are the images that have results; `pictures` says whether the folder holds any picture at all.
    Pictures made with other settings are a ConfigError. With `overwrite` they are listed as outdated instead
    and not removed, as their images may turn out to be unreadable now; so the next run after an interruption
    can still tell old and new results apart. Pictures without a record are left as unknown. Entries for
    likeliest fills that no longer exist are removed.
    """
    path = folder / NAME
    before = _read(path)
    changes = None if before is None else _difference(before, settings)
    older, noted, notes = _noted(before or {})
    notes = {name: note for name, note in notes.items() if name in made}
    likeliest = {name: one for name, one in noted.items() if file_exists(folder / one)}
    if before is not None and changes is None:
        record = FillsRecord(path=path, settings=settings, older=older, likeliest=likeliest, notes=notes)
        if likeliest != noted:
            write_files(record.file)
        return record
    if not overwrite and pictures:
        if before is None:
            return FillsRecord(path=path, settings=settings, kept=False)
        raise ConfigError(f"{changes}: give --overwrite, or another --output")
    still = {name: one for name, one in likeliest.items() if name in made}
    record = FillsRecord(path=path, settings=settings, older=frozenset(made), likeliest=still, notes=notes)
    write_files(record.file)
    return record


def _with(values: dict[str, str], name: str, value: str | None) -> dict[str, str]:
    others = {other: its for other, its in values.items() if other != name}
    return others if value is None else others | {name: value}


def _read(path: Path) -> dict[str, Any] | None:
    """The record in the folder; {} if it is unreadable or empty, None if there is none."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _noted(before: dict[str, Any]) -> tuple[frozenset[str], dict[str, str], dict[str, str]]:
    older, found = before.get(OLDER), [before.get(key) for key in (LIKELIEST, NOTES)]
    likeliest, notes = (
        {name: str(value) for name, value in one.items()} if isinstance(one, dict) else {} for one in found
    )
    return frozenset(map(str, older)) if isinstance(older, list) else frozenset(), likeliest, notes


def _difference(before: dict[str, Any], settings: dict[str, Any]) -> str | None:
    """The recorded settings that differ from `settings`; None if none do."""
    if not before:
        return "the pictures there were made with other settings"
    new = json.loads(json.dumps(settings))
    names = sorted((before.keys() | new.keys()) - {OLDER, LIKELIEST, NOTES})
    changes = ", ".join(
        f"{name} = {before.get(name)} (now {new.get(name)})"
        for name in names
        if before.get(name) != new.get(name)
    )
    return f"the pictures there were made with {changes}" if changes else None
