"""The bars at the top of the page: each of them can be missed, and then says so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments.reproduce.test_tables import trial
from maskmend.experiments.reproduce import summary as frame
from maskmend.experiments.reproduce.baselines import leave_grey
from maskmend.experiments.reproduce.dataset import TestSet
from maskmend.experiments.reproduce.summary import summary_section, verdict_section
from maskmend.experiments.reproduce.trial import Trial, TrialRunner
from maskmend.fill.image_filler import ImageFiller

Bars = Callable[..., dict[str, bool]]


def quiet(what: str, done: int, total: int) -> None:
    pass


class Fake(TrialRunner):
    """A runner whose trials are given by the number of steps; without steps it is that of 8."""

    def __init__(self, trials: dict[int, Trial], data: TestSet) -> None:
        self.trials, self.data = trials, data

    def measure(self, progress: Any, *, by: Any = (), steps: int = 8, **changes: Any) -> Trial:
        return self.trials[steps]

    def baseline(self, name: str, fill: Any, progress: Any, *, identity: Any) -> Trial:
        return self.trials[0]

    def reconstruction(self, progress: Any) -> Trial:
        return self.trials[1]


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch, test_set: TestSet) -> Callable[..., dict[str, bool]]:
    def held(trials: dict[int, Trial], again: bool = True) -> dict[str, bool]:
        monkeypatch.setattr(frame, "determinism_section", lambda runner: again)
        section, _ = verdict_section(Fake(trials, test_set), quiet)
        return {tile.what: tile.held for tile in section.tiles if tile.held is not None}

    return held


def test_bars_that_hold(bars: Bars) -> None:
    assert set(bars({8: trial(10), 1: trial(10)}).values()) == {True}


def test_more_steps_that_are_worse_miss_their_bar(bars: Bars) -> None:
    """Would catch a bar that cannot fail. The other FID is 50 less this one: it must hold."""
    held = bars({8: trial(12), 1: trial(10)})
    assert not held["8 steps less 1, FID composited"]
    assert held["8 steps less 1, FID uncomposited"]


def test_a_changed_known_pixel_and_another_fill_miss_theirs(bars: Bars) -> None:
    changed = Trial(**(vars(trial(10)) | {"known_error": 1}))
    held = bars({8: changed, 1: trial(10)}, again=False)
    assert not held["known-pixel error"]
    assert not held["the same fill twice"]


def test_fills_that_differ_are_seen(make_runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch a comparison of a fill with itself."""
    runner: TrialRunner = make_runner()
    assert frame.determinism_section(runner)
    fill, calls = ImageFiller.fill, []

    def drifting(*given: Any) -> Any:
        results = fill(*given)
        calls.append(1)
        for result in results if len(calls) == 2 else ():
            pixels = result.pictures[0].pixels
            object.__setattr__(result.pictures[0], "pixels", np.where(pixels < 255, pixels + 1, pixels))
        return results

    monkeypatch.setattr(ImageFiller, "fill", drifting)
    assert not frame.determinism_section(runner)


def test_telea_of_another_opencv_is_measured_anew(make_runner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would catch the figures of one library under the name of another's."""
    runner: TrialRunner = make_runner()
    monkeypatch.setattr(frame, "baselines", lambda file: {"OpenCV Telea": leave_grey})
    paths = []
    for version in ("4.9", "4.9", "4.10"):
        monkeypatch.setattr(frame, "opencv_version", lambda version=version: version)
        summary_section(runner, None, quiet)
        paths.append({path.name for path in runner.folder.iterdir()})
    assert paths[0] == paths[1]
    assert len(paths[2] - paths[1]) == 1


def test_the_frame_marks_the_best_and_its_ties(monkeypatch: pytest.MonkeyPatch, test_set: TestSet) -> None:
    """Would catch a baseline that is best and unmarked, and one within the interval said to be worse."""
    monkeypatch.setattr(frame, "baselines", lambda file: {"nothing": None, "other": None})
    section, _ = summary_section(Fake({0: trial(12), 1: trial(9), 8: trial(10)}, test_set), None, quiet)
    assert list(section.tables[0].marks) == ["", "", "best", "best", ""]
