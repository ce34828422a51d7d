"""Guides for many pictures: one for all, or a folder with guides named like the pictures."""

from dataclasses import replace

from maskmend.batch.folder import FILLABLE
from maskmend.bulk.entries import Entry, Location
from maskmend.storage.stores import Store, joined


class Guides:
    """Assigns guides to entries.

    Args:
        place: path or URL of a picture or folder.
        for_all: whether `place` is a single picture, used for all entries.
    """

    def __init__(self, place: str, *, for_all: bool) -> None:
        self.place, self.for_all = place, for_all
        self._folder: str | None = None
        self._found: dict[str, list[str]] = {}

    def given_to(self, entry: Entry) -> Entry:
        """The entry with its guide; unchanged if there is none of its name."""
        if self.for_all:
            return replace(entry, guide=Location(place=self.place))
        names = self._in_folder(entry.name.rpartition("/")[0]).get(entry.name, [])
        if len(names) > 1:
            words = ", ".join(name.rsplit("/", 1)[-1] for name in names)
            return replace(entry, trouble=entry.trouble or f"{len(names)} guides of that name: {words}")
        return replace(entry, guide=Location(place=joined(self.place, names[0]))) if names else entry

    def _in_folder(self, folder: str) -> dict[str, list[str]]:
        """The guides of one folder by name without suffix. Cached, as entries of a folder are consecutive."""
        if folder != self._folder:
            self._folder, self._found = folder, {}
            for name in Store(place=self.place).listing(folder)[1]:
                stem, _, suffix = name.rpartition(".")
                if f".{suffix.lower()}" in FILLABLE:
                    self._found.setdefault(stem, []).append(name)
        return self._found
