"""The JSON files of a model folder, and the check of their first keys: format and kind."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskmend.config import nearest
from maskmend.errors import ModelError
from maskmend.pretrained.migrations import FORMAT
from maskmend.storage.files import json_bytes, write_files
from maskmend.storage.formats import check_format


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON to a temporary name, syncs and renames. Raises OutputError when that fails."""
    write_files({path: json_bytes(content)})


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object. Raises ModelError when it is missing or malformed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"no {path.name} in {path.parent}: is this a maskmend model folder?") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: from JSON, UTF-8, or too many digits
        raise ModelError(f"cannot read {path}: {error}; copy the model folder again") from None
    if not isinstance(content, dict):
        found = type(content).__name__
        raise ModelError(f"{path} holds {found}, expected an object: is this a maskmend model folder?")
    return content


def check_index(
    content: dict[str, Any], kind: str, path: Path, keys: Iterable[str], newest: int = FORMAT
) -> None:
    """Raises ModelError when `content` of `path` is of a newer format or another kind, or has unknown keys.

    `keys` are those beside "format" and "kind"; `newest` is the newest format that is read.
    """
    otherwise = "is this a maskmend model folder?"
    check_format(content.get("format"), newest, path, ModelError, otherwise=otherwise)
    if content.get("kind") != kind:
        found = content.get("kind")
        raise ModelError(f"{path} describes kind {found!r}, expected {kind!r}: give another folder")
    known = {"format", "kind", *keys}
    for key in content:
        if key not in known:
            raise ModelError(f"{path} has an unknown key {key!r}{nearest(key, known)}: remove it")
