"""The manifest of a run, in the target's folder `_maskmend`: `run.json` has the settings, and
`parts/CHUNK.jsonl` one line for each picture of a chunk.

A chunk counts as done once its part exists, which is written atomically after the results it lists. If a
process is killed, its chunk has no part, and its results are computed again, byte for byte, and overwritten.
No file is appended to by two processes.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from maskmend.errors import ConfigError
from maskmend.storage.files import json_bytes
from maskmend.storage.formats import check_format
from maskmend.storage.hub_commits import OWN
from maskmend.storage.stores import Store

FOLDER = "_maskmend"
RUN = f"{FOLDER}/run.json"
PARTS = f"{FOLDER}/parts"
FAILURES = f"{FOLDER}/failures"
FORMAT = 1
"""Format of the manifest, in `run.json`; files without one are read as format 1."""
_FORMAT_KEY = "manifest_format"  # "format" is that of the results
_REMEDY = "give --overwrite, or another --output"


@dataclass(frozen=True, kw_only=True)
class Record:
    """The record of one picture."""

    key: str
    part: str
    status: Literal["filled", "failed"]
    settings: str
    """SHA-256 of the settings in `run.json`, shortened."""
    model: str
    """Hash of the model, shortened likewise."""
    seed: int
    seconds: float
    """Time of its fill; an equal share for pictures that were filled together."""
    result: str | None = None
    """Its place in the target: the file, or the shard."""
    reason: str | None = None
    """Why it could not be filled."""
    note: str | None = None
    """Note or warning about the fill."""


def digest_of(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def begin(target: Store, settings: dict[str, Any], *, overwrite: bool) -> str:
    """Writes `run.json` unless it exists, and returns the digest of the settings.

    Raises ConfigError for a target that was begun with other settings or has a manifest of a newer format,
    and is not to be overwritten, or that holds other files.
    """
    new = json.loads(json.dumps(settings))
    if target.holds(RUN):
        try:
            before = json.loads(target.read(RUN))
        except ValueError:
            before = None
        found = before.pop(_FORMAT_KEY, 1) if isinstance(before, dict) else 1
        if not overwrite:
            what = f"the manifest of {target.place}"
            check_format(found, FORMAT, what, ConfigError, otherwise=_REMEDY)
        if before == new and found == FORMAT:
            return digest_of(settings)
        if not overwrite:
            raise ConfigError(f"{target.place} was filled with {_difference(before, new)}: {_REMEDY}")
    elif not overwrite and _holds_others(target):
        raise ConfigError(f"{target.place} holds files of something else: {_REMEDY}")
    target.write(RUN, json_bytes({_FORMAT_KEY: FORMAT, **settings}))
    return digest_of(settings)


def read_part(target: Store, chunk: str) -> list[Record] | None:
    """The records of a chunk; None if it is not done, or if its part is unreadable."""
    name = part_name(chunk)
    if not target.holds(name):
        return None
    try:
        return [Record(**json.loads(line)) for line in target.read(name).decode().splitlines()]
    except (ValueError, TypeError):
        return None


def part_bytes(records: list[Record]) -> bytes:
    return "".join(json.dumps(asdict(record), sort_keys=True) + "\n" for record in records).encode()


def part_name(chunk: str) -> str:
    return f"{PARTS}/{chunk}.jsonl"


def all_records(target: Store) -> Iterator[Record]:
    """Yields all records of a target, one part at a time."""
    for name in target.listing(PARTS)[1]:
        if name.endswith(".jsonl"):
            yield from read_part(target, name.rsplit("/", 1)[-1].removesuffix(".jsonl")) or ()


def failures_csv(failures: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("picture", "reason"))
    table.writerows(failures)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _holds_others(target: Store) -> bool:
    expected = OWN if target.commits else ()
    return any(name not in expected for found in target.listing() for name in found)


def _difference(before: Any, new: dict[str, Any]) -> str:
    if not isinstance(before, dict):
        return "other settings"
    names = sorted(before.keys() | new.keys())
    return ", ".join(
        f"{name} = {before.get(name)} (now {new.get(name)})"
        for name in names
        if before.get(name) != new.get(name)
    )
