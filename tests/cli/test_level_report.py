"""What a person at the terminal is told while a wide hole is drawn anew at finer levels."""

import io
import sys

import pytest
from rich.console import Console

from maskmend.cli.inpaint_picture import LevelReport
from maskmend.cli.options import announce
from maskmend.fill.levels import LevelProgress
from server_parts import until


class Status:
    def __init__(self) -> None:
        self.text = ""

    def update(self, text: str) -> None:
        self.text = text


def progress(**changes) -> LevelProgress:
    values = {
        "image": 0, "sample": 0, "level": 1, "levels": 2, "windows": 0, "total": 40, "seconds_left": 4.0,
    }  # fmt: skip
    return LevelProgress(**values | changes)


@pytest.mark.parametrize(("seconds", "samples", "said"), [(4.0, 1, False), (11.0, 1, True), (4.0, 4, True)])
def test_a_long_fill_is_announced_before_it_begins(capsys, seconds, samples, said):
    """Would catch minutes of silence, and a warning for what takes a moment."""
    LevelReport(Status(), samples)(progress(seconds_left=seconds))
    assert ("about" in capsys.readouterr().err) == said


def test_what_is_announced_stands_above_the_status_line(monkeypatch):
    """Catches a message that begins in the middle of "filling: step 4 of 4"."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, "utf-8", write_through=True))
    with Console(stderr=True, force_terminal=True, width=80).status("filling") as status:
        status.update("filling: step 4 of 4")
        until(lambda: b"step 4" in written.getvalue())
        announce("a wide hole")
    assert b"\r\x1b[2Ka wide hole\n" in written.getvalue()


def test_the_status_counts_levels_windows_and_fills():
    status = Status()
    LevelReport(status, 2)(progress(sample=1, level=2, windows=8, seconds_left=3.2))
    assert status.text == "filling: level 2 of 2, window 8 of 40 of fill 2 of 2, about 3 s left"
