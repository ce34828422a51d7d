"""Writing: all files or none, and no trace of a write that failed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from maskmend.errors import OutputError
from maskmend.storage import files
from maskmend.storage.files import write_files


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


def test_a_folder_in_the_way_of_a_file_leaves_the_others_alone(tmp_path: Path) -> None:
    """Catches the first file replaced before the second turns out to be a folder."""
    weights, config = tmp_path / "weights", tmp_path / "config"
    weights.write_bytes(b"old")
    config.mkdir()
    with pytest.raises(OutputError, match="Is a directory"):
        write_files({weights: b"new", config: b"new"})
    assert weights.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "weights"]


@pytest.mark.parametrize("links", [True, False])
def test_a_rename_that_fails_takes_the_others_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Catches new weights beside old settings, and files lost in taking back what cannot be."""
    names = ("weights", "fresh", "config")
    for name in ("weights", "config"):
        (tmp_path / name).write_bytes(b"old")
    replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if target.name == "config" and path.read_bytes() == b"new":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return replace(path, target)

    def no_link(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refuse)
    if not links:
        monkeypatch.setattr(files.os, "link", no_link)
    with pytest.raises(OutputError, match="not permitted"):
        write_files({tmp_path / name: b"new" for name in names})
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == {"weights": b"old" if links else b"new", "config": b"old"}


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """Catches temporary names that are longer than the name itself may be."""
    path = tmp_path / ("a" * 251 + ".png")
    for content in (b"old", b"new"):
        write_files({path: content, tmp_path / "b": content})
        assert path.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("existing", [True, False])
def test_a_link_is_written_through(tmp_path: Path, existing: bool) -> None:
    """Catches a plain file put in the place of a link, and what it pointed to left old."""
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "link", tmp_path / "disk" / "file"
    link.symlink_to("disk/file")
    if existing:
        target.write_bytes(b"old")
    write_files({link: b"new"})
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["file"]
