"""Writing: all files or none, and no trace of a write that failed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from maskmend import files
from maskmend.errors import OutputError
from maskmend.files import write_files


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("existing", [False, True])
def test_nothing_half_written_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, existing: bool
) -> None:
    """Catches a full disk that leaves temporary files, or new weights beside old settings."""
    paths = [tmp_path / "weights", tmp_path / "config"]
    if existing:
        write_files(dict.fromkeys(paths, b"old"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*weights.*No space left.*check the folder"):
        write_files(dict.fromkeys(paths, b"new"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_interruption_leaves_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches cleaning up after errors only: Ctrl-C is no Exception."""

    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_files({tmp_path / "report.json": b"{}"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [lambda file: file / "a", lambda file: file / "below" / "a"])
def test_a_file_in_the_way_of_a_folder_is_told(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(OutputError, match="cannot write"):
        write_files({place(file): b"new"})
    assert file.read_text() == "no folder"


def test_folders_are_made_and_others_may_read(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_files({tmp_path / "a" / "b" / "c": b"new"})
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o644
