"""Parquet files (extra `parquet`): pictures as bytes or paths, and results as one file per chunk.

Columns of a source: `image` and `mask`, each as bytes, as a path or URL (relative to the file's folder), or
as the struct with `bytes` used by image data sets; and optionally `key`, by default the row number.
"""

import functools
import io
from collections.abc import Iterator, Sequence
from typing import Any

from maskmend.bulk.entries import Cell, Entry, Location
from maskmend.errors import ConfigError, DataError, pip_install
from maskmend.storage.stores import is_url, joined, open_binary


def arrow() -> tuple[Any, Any]:
    """pyarrow and its module for Parquet. Raises ConfigError if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(f"Parquet files need pyarrow: {pip_install('parquet')}") from None
    return pyarrow, pyarrow.parquet


def entries_of(place: str, part: str, *, with_mask: bool, needs_mask: bool = True) -> Iterator[Entry]:
    """An entry for each row; pictures are not loaded. Raises DataError."""
    pyarrow, parquet = arrow()
    with open_binary(place) as handle:
        try:
            file = parquet.ParquetFile(handle)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"cannot read {place} as Parquet: {' '.join(str(error).split())}") from None
        there = file.schema_arrow.names
        with_mask = with_mask and (needs_mask or "mask" in there)
        columns = ["image", "mask"] if with_mask else ["image"]
        _check_columns(place, there, columns)
        yield from _rows(file, place, part, columns)


def _check_columns(place: str, there: list[str], columns: list[str]) -> None:
    for column in columns:
        if column not in there:
            also = " (or give --mask)" if column == "mask" else ""
            raise DataError(f"{place} has no column {column!r} but {', '.join(there)}: name one so{also}")


def _rows(file: Any, place: str, part: str, columns: list[str]) -> Iterator[Entry]:
    schema = file.schema_arrow
    paths = [name for name in columns if _is_text(schema.field(name).type)]
    wanted = [*paths, *(["key"] if "key" in schema.names else [])]
    before = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        table = file.read_row_group(group, columns=wanted).to_pydict() if wanted else {}
        for row in range(rows):
            key = str(table["key"][row]) if "key" in table else f"{before + row:09d}"
            found: dict[str, Location | Cell | None] = {}
            for name in columns:
                if name in paths:
                    path = table[name][row]
                    found[name] = None if path is None else _place(place, path)
                else:
                    found[name] = Cell(place=place, column=name, group=group, row=row)
            image = found["image"]
            suffix = _suffix(image.place) if isinstance(image, Location) else ""
            yield Entry(key=key, part=part, suffix=suffix, image=image, mask=found.get("mask"))
        before += rows


def count_rows(place: str) -> int:
    """The number of rows; only the footer is read. Raises DataError."""
    pyarrow, parquet = arrow()
    with open_binary(place) as handle:
        try:
            return parquet.read_metadata(handle).num_rows
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"cannot read {place} as Parquet: {' '.join(str(error).split())}") from None


def read_cell(place: str, column: str, group: int, row: int) -> bytes:
    """Reads the bytes of a cell. Raises DataError."""
    value = _column(place, column, group)[row].as_py()
    if isinstance(value, dict):
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise DataError(f"{place}: column {column!r} holds no bytes in row {row} of row group {group}")
    return value


def table_bytes(rows: Sequence[dict[str, Any]]) -> bytes:
    """Encodes results as a Parquet file."""
    pyarrow, parquet = arrow()
    text, number = pyarrow.string(), pyarrow.int64()
    schema = pyarrow.schema(
        [("key", text), ("image", pyarrow.binary()), ("format", text), ("seed", number), ("note", text)]
    )
    content = io.BytesIO()
    # Pictures are already compressed.
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), content, compression="none")
    return content.getvalue()


@functools.lru_cache(maxsize=2)  # one for pictures, one for masks
def _column(place: str, column: str, group: int) -> Any:
    pyarrow, parquet = arrow()
    with open_binary(place) as handle:
        try:
            return parquet.ParquetFile(handle).read_row_group(group, columns=[column])[column]
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"cannot read {place}: {' '.join(str(error).split())}") from None


def _is_text(kind: Any) -> bool:
    pyarrow, _ = arrow()
    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)


def _suffix(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    return f".{name.rsplit('.', 1)[-1].lower()}" if "." in name else ""


def _place(file: str, path: str) -> Location:
    if is_url(path) or path.startswith("/"):
        return Location(place=path)
    return Location(place=joined(file.rsplit("/", 1)[0] if "/" in file else ".", path))
