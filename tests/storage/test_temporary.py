"""Temporary files of processes that were killed, and of those that were not."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import maskmend
from maskmend.storage import temporary
from maskmend.storage.files import write_files
from maskmend.storage.temporary import beside, remove_stale, remove_stale_once, temporary_folder

WRITERS = {
    "files": "write_files({folder / 'a.png': b'x' * 1000, folder / 'b.png': b'y' * 1000})",
    "checkpoint": "checkpoint.write(folder / 'last.pt', {'step': 1})",
}
PROGRAM = """
import os, sys, time
from pathlib import Path
from maskmend.storage.files import write_files
if "checkpoint" in {writer!r}:
    from maskmend.training import checkpoint
folder = Path(sys.argv[1])
def stuck(_):
    print("writing", flush=True)
    time.sleep(3600)
os.fsync = stuck
{writer}
"""


@contextmanager
def writing(folder: Path, writer: str) -> Iterator[subprocess.Popen]:
    """A process that has written a temporary file into `folder` and gets no further."""
    program = PROGRAM.format(writer=WRITERS[writer])
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"writing\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_kill_left_behind_goes_and_what_is_being_written_stays(tmp_path: Path, writer: str) -> None:
    """Catches files as large as a checkpoint that stay for ever, and one pulled from under its writer."""
    with writing(tmp_path, writer) as alive:
        (kept,) = tmp_path.iterdir()
        with writing(tmp_path, writer) as killed:
            os.kill(killed.pid, signal.SIGKILL)
        assert killed.returncode == -signal.SIGKILL
        assert len(list(tmp_path.iterdir())) == 2
        remove_stale(tmp_path)
        assert list(tmp_path.iterdir()) == [kept]
        assert alive.poll() is None


def test_whoever_writes_cleans_up_first(tmp_path: Path) -> None:
    """Catches a removal that only the training knows of."""
    with writing(tmp_path, "files") as killed:
        os.kill(killed.pid, signal.SIGKILL)
    write_files({tmp_path / "c.png": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["c.png"]


def test_a_folder_that_a_kill_left_behind_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a model on its way to the hub, or a downloaded archive, that stays in /tmp for ever."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = """
import sys, time
from maskmend.storage.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "weights").write_bytes(b"half")
    print(folder, flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as killed:
        assert killed.stdout is not None
        left = Path(killed.stdout.readline().decode().strip())
        killed.kill()
    assert (left / "weights").exists()
    remove_stale_once.cache_clear()
    with temporary_folder() as folder:
        assert list(tmp_path.iterdir()) == [folder]
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_in_a_folder_of_another_name() -> None:
    """Catches a temporary file that is written past this module, so that nobody ever removes it."""
    package = Path(maskmend.__file__).parent
    found = [path for path in package.rglob("*.py") if "tempfile" in path.read_text(encoding="utf-8")]
    assert found == [Path(temporary.__file__)]


def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("name", "age", "stays"),
    [
        (lambda own, dead: own.replace(str(os.getpid()), str(dead)), 0, False),
        (lambda own, dead: own, 0, True),
        (lambda own, dead: own, 3600 * 10, False),
        (lambda own, dead: f".maskmend-00000000-{dead}-0123456789ab", 3600 * 23, True),
        (lambda own, dead: f".maskmend-00000000-{dead}-0123456789ab", 3600 * 25, False),
        (lambda own, dead: f".last.pt.{dead}", 0, False),
        (lambda own, dead: f".best.pt.{dead}", 0, False),
        (lambda own, dead: f".best.pt.{os.getppid()}", 0, True),
        (lambda own, dead: f"last.pt.{dead}", 3600 * 25, True),
        (lambda own, dead: ".maskmend-notes", 3600 * 25, True),
        (lambda own, dead: ".0123456789ab", 3600 * 25, True),
    ],
    ids=[
        "dead", "own", "own number of before", "elsewhere", "elsewhere, old", "last", "best", "best, alive",
        "checkpoint", "notes", "other",
    ],
)  # fmt: skip
def test_whose_files_go(tmp_path: Path, name: Callable[[str, int], str], age: int, stays: bool) -> None:
    """Catches a stranger's file that goes, and one of a process on another machine that still writes it."""
    path = tmp_path / name(beside(tmp_path / "a").name, gone())
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age, time.time() - age))
    remove_stale(tmp_path)
    assert path.exists() is stays


@pytest.mark.parametrize(
    ("age", "machine", "stays"),
    [(0, None, False), (3600 * 23, "00000000", True), (3600 * 25, "00000000", False)],
)
def test_folders_that_a_kill_left_behind_go(
    tmp_path: Path, age: int, machine: str | None, stays: bool
) -> None:
    """Catches the gigabytes of a conversion that was killed, and one that goes while it is written elsewhere:
    the folder itself is as old as its last new file.
    """
    here, pid = beside(tmp_path / "a").name.split("-")[1], gone()
    folder = tmp_path / f".maskmend-{machine or here}-{pid}-0123456789ab"
    (folder / "transformer").mkdir(parents=True)
    weights = folder / "transformer" / "weights.safetensors"
    weights.write_bytes(b"half")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (folder / "link").symlink_to(outside)
    old = time.time() - 3600 * 48
    for path in (folder / "transformer", folder):
        os.utime(path, (old, old))
    os.utime(folder / "link", (old, old), follow_symlinks=False)
    os.utime(weights, (time.time() - age,) * 2)
    remove_stale(tmp_path)
    assert folder.exists() is stays
    assert (outside / "kept").exists()


def test_folders_and_links_stay(tmp_path: Path) -> None:
    """Catches a removal that follows a link out of the folder."""
    dead = gone()
    (tmp_path / f".last.pt.{dead}").mkdir()
    (tmp_path / f".best.pt.{dead}").symlink_to(tmp_path)
    remove_stale(tmp_path)
    remove_stale(tmp_path / "missing")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_cannot_be_removed_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f".last.pt.{gone()}").write_bytes(b"half")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(temporary.Path, "unlink", refuse)
    remove_stale(tmp_path)
