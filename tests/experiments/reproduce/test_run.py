"""The whole experiment on a tiny model: what is written, and that a second run measures nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.reproduce.conftest import small_features
from maskmend.errors import ConfigError
from maskmend.experiments.reproduce.dataset import TestSet
from maskmend.experiments.reproduce.run import reproduce
from maskmend.experiments.reproduce.trial import TrialRunner

pytestmark = pytest.mark.slow


def test_a_quick_run_writes_all_and_a_second_measures_nothing(
    make_runner: Callable[..., TrialRunner], tmp_path: Path
) -> None:
    """Would catch missing files, figures missing on the page, and a run that starts anew."""
    out, said, lines = tmp_path / "out", [], []
    facts = reproduce(
        make_runner(), out, quick=True, progress=lambda *what: said.append(what), log=lines.append
    )
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "page.html",
        "page.md",
        "page.json",
        "schedules.png",
        "masks-1.png",
        "predicted-2.png",
        "fills.png",
    }
    assert json.loads((out / "page.json").read_text()) == json.loads(json.dumps(facts))
    page, text = (out / "page.html").read_text(), (out / "page.md").read_text()
    for table in ("schedule-report", "schedule", "steps", "grid"):
        for row in facts[table]["rows"]:
            value = row[facts[table]["by"]]["value"]
            assert f"{value:.2f} <span" in page
            assert f"{value:.2f} [" in text
        assert facts[table]["verdict"] in text
    assert "38.02" in page
    assert facts["bars"]["known_error"] == 0
    assert facts["bars"]["same_twice"] is True
    assert "OpenCV Telea" in page
    assert {what for what, _, _ in said} >= {"filling", "features", "FID by number of steps"}
    calls = []

    def counting(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return small_features(images)

    (line,) = lines
    assert line.startswith("11 ways of filling to measure: about ")
    again = reproduce(make_runner(extract=counting), out, quick=True, log=lines.append)
    assert lines[1:] == ["all is measured: the page is written again"]
    assert again == facts
    assert calls == [10]  # the truths alone


def test_the_full_run_has_every_table(
    make_runner: Callable[..., TrialRunner], test_set: TestSet, tmp_path: Path
) -> None:
    facts = reproduce(make_runner(data=test_set.first(3), repeats=2), tmp_path / "out", grid=False, shown=0)
    assert set(facts) >= {"order", "sweet_spot", "temperature", "top_p", "infill", "ring", "share", "seam"}
    assert (tmp_path / "out" / "temperature.png").is_file()


def test_sweeps_may_make_do_with_fewer_images(
    make_runner: Callable[..., TrialRunner], test_set: TestSet, tmp_path: Path
) -> None:
    """Would catch the coursework's own table measured on fewer images, and a table that does not
    say it was."""
    out, lines = tmp_path / "out", []
    runner = make_runner(data=test_set.first(5), repeats=2)
    facts = reproduce(runner, out, only=("schedule", "seam"), sweep_limit=3, shown=0, log=lines.append)
    assert (facts["images"], facts["schedule"]["images"], facts["seam"]["images"]) == (5, 5, 3)
    fewer = runner.first(3).measure(by=("composited",), seam="hard")
    hard = next(row for row in facts["seam"]["rows"] if row["changes"] == {"seam": "hard"})
    assert hard["composited"]["value"] == fewer.fid("composited").value
    assert (out / "page.md").read_text().count("Over the first 3 images only") == 1

    assert lines[0].startswith("8 ways of filling to measure: about ")


def test_only_the_tables_asked_for(make_runner: Callable[..., TrialRunner], tmp_path: Path) -> None:
    """Would catch tables measured that nobody asked for, and a misspelt name that measures nothing."""
    facts = reproduce(make_runner(), tmp_path / "out", quick=True, only=("steps",), shown=0)
    assert "steps" in facts
    assert "schedule" not in facts
    assert "grid" not in facts
    with pytest.raises(
        ConfigError, match=r"table = 'step': choose one of .*'steps', 'grid' .did you mean 'steps'"
    ):
        reproduce(make_runner(), tmp_path / "out", quick=True, only=("step",))
