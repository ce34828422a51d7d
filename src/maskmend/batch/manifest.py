"""`fills.json` in a folder of fills: how its pictures were made, of several fills which is the best (under
the key "likeliest", as it was first called), and what is to be known of each picture.

It is written together with the pictures it speaks of, so that a run may end at any moment.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from maskmend.errors import ConfigError
from maskmend.files import lies_there, write_files

NAME = "fills.json"
OLDER = "made_otherwise"
"""Beside the settings in that file: the images whose results there are still those of other settings."""
LIKELIEST = "likeliest"
"""Likewise: of each image that has several fills the path of the one of the highest likelihood."""
NOTES = "notes"
"""Likewise: of each image whose fill came with a note (`Inpainted.note`) that note."""


@dataclass(frozen=True, kw_only=True)
class FillsRecord:
    """What `path` says, or would say."""

    path: Path
    settings: dict[str, Any]
    older: frozenset[str] = frozenset()
    likeliest: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    kept: bool = True
    """False where pictures lie that nobody knows how they were made: then the file is not written."""

    def after(self, name: str, likeliest: str | None, note: str | None = None) -> "FillsRecord":
        """What is true once image `name` is filled; `likeliest` is None where there is one fill only."""
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
        said = dict(self.settings)
        if self.older:
            said[OLDER] = sorted(self.older)
        if self.likeliest:
            said[LIKELIEST] = self.likeliest
        if self.notes:
            said[NOTES] = self.notes
        return {self.path: json.dumps(said, indent=2, sort_keys=True).encode()}


def begin_record(
    folder: Path, settings: dict[str, Any], made: set[str], *, pictures: bool, overwrite: bool
) -> FillsRecord:
    """Writes down how pictures are made, for those that lie in `folder` already as well.

    `made` are the images that have results there; `pictures` says whether any picture lies there at all.
    Pictures made otherwise are a ConfigError, or with `overwrite` noted as such: none is removed, for its
    image may prove not to be fillable any more, and a run stopped halfway leaves no mixture that the next
    takes for its own. Of pictures without a record nothing is claimed. Likeliest fills that are no longer
    there are struck out.
    """
    path = folder / NAME
    before = _read(path)
    changes = None if before is None else _difference(before, settings)
    older, noted, notes = _noted(before or {})
    notes = {name: note for name, note in notes.items() if name in made}
    likeliest = {name: one for name, one in noted.items() if lies_there(folder / one)}
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


def _with(told: dict[str, str], name: str, value: str | None) -> dict[str, str]:
    others = {other: its for other, its in told.items() if other != name}
    return others if value is None else others | {name: value}


def _read(path: Path) -> dict[str, Any] | None:
    """The record there; {} for one that says nothing, None where there is none."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _noted(before: dict[str, Any]) -> tuple[frozenset[str], dict[str, str], dict[str, str]]:
    older, told = before.get(OLDER), [before.get(key) for key in (LIKELIEST, NOTES)]
    likeliest, notes = (
        {name: str(value) for name, value in one.items()} if isinstance(one, dict) else {} for one in told
    )
    return frozenset(map(str, older)) if isinstance(older, list) else frozenset(), likeliest, notes


def _difference(before: dict[str, Any], settings: dict[str, Any]) -> str | None:
    """How the pictures there were made, as far as it is another way than `settings`; None if it is not."""
    if not before:
        return "the pictures there were made otherwise"
    new = json.loads(json.dumps(settings))
    names = sorted((before.keys() | new.keys()) - {OLDER, LIKELIEST, NOTES})
    changes = ", ".join(
        f"{name} = {before.get(name)} (now {new.get(name)})"
        for name in names
        if before.get(name) != new.get(name)
    )
    return f"the pictures there were made with {changes}" if changes else None
