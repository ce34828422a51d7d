"""What a person at the terminal is told while a wide hole is drawn anew at finer levels."""

import pytest

from maskmend.cli.inpaint_picture import LevelReport
from maskmend.fill.levels import LevelProgress


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


def test_the_status_counts_levels_windows_and_fills():
    status = Status()
    LevelReport(status, 2)(progress(sample=1, level=2, windows=8, seconds_left=3.2))
    assert status.text == "filling: level 2 of 2, window 8 of 40 of fill 2 of 2, about 3 s left"
