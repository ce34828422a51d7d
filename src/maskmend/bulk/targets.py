"""Targets of the results: files named like their pictures, tar shards (WebDataset layout), or Parquet files.

With tar and Parquet, the results of a chunk are one file. The bytes of a result do not depend on when, where
or with which other pictures it was computed; timings are in the manifest only. On the Hub, the results of a
chunk and its part of the manifest are one commit.
"""

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from maskmend.bulk.manifest import Record, part_bytes, part_name
from maskmend.bulk.parquet import arrow, table_bytes
from maskmend.errors import ConfigError
from maskmend.storage.stores import Store

Form = Literal["files", "tar", "parquet"]


@dataclass(frozen=True, kw_only=True)
class EncodedFill:
    """The result of one picture, encoded."""

    name: str
    key: str
    suffix: str
    content: bytes
    seed: int
    note: str | None
    metadata: bytes | None = None
    """`key.json` of the picture, unchanged."""


@dataclass(kw_only=True)
class ChunkWriter:
    """Collects the results of a chunk; `commit` returns when they are stored, with their records."""

    store: Store
    form: Form
    chunk: str
    files: dict[str, bytes] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    tar: io.BytesIO = field(default_factory=io.BytesIO)

    def add(self, result: EncodedFill) -> str:
        """Returns the name of the result in the target."""
        if self.form == "files":
            name = result.name + result.suffix
            if self.store.commits:
                self.files[name] = result.content
            else:
                self.store.write(name, result.content)
            return name
        if self.form == "parquet":
            self.rows.append(
                {
                    "key": result.name,
                    "image": result.content,
                    "format": result.suffix[1:],
                    "seed": result.seed,
                    "note": result.note,
                }
            )
        else:
            # Members are named by the full path, as two parts may contain the same keys.
            stem = result.name
            record = {"seed": result.seed} | ({"note": result.note} if result.note else {})
            content = _metadata(result.metadata) | {"maskmend": record}
            self._append(stem + result.suffix, result.content)
            self._append(f"{stem}.json", json.dumps(content, sort_keys=True).encode())
        return f"{self.chunk}.{self.form}"

    def commit(self, records: list[Record], replaced: Sequence[str] = ()) -> None:
        """Writes the results, then the chunk's part of the manifest, and then removes `replaced`."""
        if self.form == "parquet" and self.rows:
            self.files[f"{self.chunk}.parquet"] = table_bytes(self.rows)
        elif self.form == "tar" and self.tar.tell():
            self.files[f"{self.chunk}.tar"] = self.tar.getvalue() + bytes(2 * tarfile.BLOCKSIZE)
        self.store.change(self.files | {part_name(self.chunk): part_bytes(records)}, replaced)

    def _append(self, name: str, content: bytes) -> None:
        head = tarfile.TarInfo(name)  # no owner or time, so that it is reproducible
        head.size = len(content)
        head.mode = 0o644
        self.tar.write(head.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape"))
        self.tar.write(content)
        self.tar.write(bytes(-len(content) % tarfile.BLOCKSIZE))


def check_form(form: str) -> None:
    """Raises ConfigError for an unknown form, or if its package is missing."""
    if form not in get_args(Form):
        raise ConfigError(f"results cannot be written as {form!r}: choose {', '.join(get_args(Form))}")
    if form == "parquet":
        arrow()


def lie_there(store: Store, records: list[Record]) -> bool:
    """Whether the recorded results still exist in the target."""
    return store.holds_all({record.result for record in records if record.result})


def _metadata(content: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
