"""What a run has done, in the target's folder `_maskmend`: `run.json` says how pictures are filled, and
`parts/CHUNK.jsonl` has a line for each picture of a chunk.

A part is written whole, after the results that it speaks of, and by that alone the chunk counts as done: a
process that is killed leaves a chunk without its part, whose results are made again, to the byte, and written
over. There is no file that two processes add to.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from maskmend.errors import ConfigError
from maskmend.files import json_bytes
from maskmend.stores import Store

FOLDER = "_maskmend"
RUN = f"{FOLDER}/run.json"
PARTS = f"{FOLDER}/parts"
FAILURES = f"{FOLDER}/failures"
_REMEDY = "give --overwrite, or another --output"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One picture."""

    key: str
    part: str
    status: Literal["filled", "failed"]
    settings: str
    """`run.json`, shortened by SHA-256."""
    model: str
    """The model's hash, likewise."""
    seed: int
    seconds: float
    """Of its fill; of pictures that were filled together an equal share."""
    result: str | None = None
    """Where it lies in the target: the file, or the shard."""
    reason: str | None = None
    """Why it could not be filled."""
    note: str | None = None
    """What is to be known of the fill."""


def digest_of(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def begin(target: Store, settings: dict[str, Any], *, overwrite: bool) -> str:
    """Writes `run.json`, unless it lies there, and returns its digest.

    Raises ConfigError for a target that was begun with other settings, unless it is to be overwritten, or
    that holds other things.
    """
    new = json.loads(json.dumps(settings))
    if target.holds(RUN):
        try:
            before = json.loads(target.read(RUN))
        except ValueError:
            before = None
        if before == new:
            return digest_of(settings)
        if not overwrite:
            raise ConfigError(f"{target.place} was filled with {_difference(before, new)}: {_REMEDY}")
    elif not overwrite and any(name for found in target.listing() for name in found):
        raise ConfigError(f"{target.place} holds files of something else: {_REMEDY}")
    target.write(RUN, json_bytes(settings))
    return digest_of(settings)


def read_part(target: Store, chunk: str) -> list[Record] | None:
    """What is recorded of a chunk; None where it is not done, or the part says nothing."""
    name = part_name(chunk)
    if not target.holds(name):
        return None
    try:
        return [Record(**json.loads(line)) for line in target.read(name).decode().splitlines()]
    except (ValueError, TypeError):
        return None


def write_part(target: Store, chunk: str, records: list[Record]) -> None:
    lines = (json.dumps(asdict(record), sort_keys=True) + "\n" for record in records)
    target.write(part_name(chunk), "".join(lines).encode())


def part_name(chunk: str) -> str:
    return f"{PARTS}/{chunk}.jsonl"


def all_records(target: Store) -> Iterator[Record]:
    """Every record of a target, one part at a time."""
    for name in target.listing(PARTS)[1]:
        if name.endswith(".jsonl"):
            yield from read_part(target, name.rsplit("/", 1)[-1].removesuffix(".jsonl")) or ()


def failures_csv(failures: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("picture", "reason"))
    table.writerows(failures)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _difference(before: Any, new: dict[str, Any]) -> str:
    if not isinstance(before, dict):
        return "other settings"
    names = sorted(before.keys() | new.keys())
    return ", ".join(
        f"{name} = {before.get(name)} (now {new.get(name)})"
        for name in names
        if before.get(name) != new.get(name)
    )
