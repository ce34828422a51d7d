"""Files that appear whole or not at all: written beside their place, synced, renamed."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from maskmend.errors import OutputError


def write_files(files: Mapping[Path, bytes]) -> None:
    """Writes all `files`; folders are made. Raises OutputError, and then what stood at the paths stays.

    All contents lie on the disk under temporary names before the first is renamed, so a full disk spoils
    none of them.
    """
    written: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not mkstemp, whose files nobody but their owner may ever read
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            with temporary.open("xb") as file:
                written[path] = temporary
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, temporary in written.items():
            temporary.replace(path)
    except OSError as error:
        names = ", ".join(str(path) for path in files)
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {names} ({reason}): check the folder, its rights and its disk"
        ) from error
    finally:
        for temporary in written.values():
            temporary.unlink(missing_ok=True)
