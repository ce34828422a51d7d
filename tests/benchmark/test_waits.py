"""What a person waits for: each row times what it says, and ends what it starts."""

import numpy as np
import pytest

from maskmend.benchmark import waits
from maskmend.benchmark.report import as_json, as_markdown, meets_bar
from maskmend.benchmark.timing import Bar, Case, Measured
from maskmend.fill.windows import lay_windows


def measured(name, seconds, **options):
    return Measured(case=Case(group="waits", name=name, run=lambda: 0.0, **options), seconds=(seconds,))


def test_pictures_are_the_same_every_time_and_no_plain_ones():
    """Catches a row that measures another picture on another day, or one that interpolation fills."""
    first = waits.photograph(96, 128)
    assert np.array_equal(first, waits.photograph(96, 128))
    assert first.shape == (96, 128, 3)
    blocks = first.astype(float).reshape(12, 8, 16, 8, 3).std(axis=(1, 3))
    assert (blocks.max(2) > 1.5).mean() > 0.9


def test_a_scratch_goes_across_and_a_date_stands_in_the_corner():
    """Catches a hole that is one box, or that lies outside the picture."""
    hole = waits.scratch_and_date(*waits.PHOTOGRAPH)
    assert hole.any(axis=0).all()
    assert hole[700:, 840:1000].sum() > 500
    assert hole.mean() < 0.02
    assert len(lay_windows(hole, 64, context=0.75, most=64)) > 20


def test_an_object_of_the_size_it_says():
    """Catches a large photograph with a small hole."""
    hole = waits.square_hole(*waits.LARGE, waits.OBJECT)
    assert hole.sum() == waits.OBJECT**2


def test_busy_loops_end_with_the_block():
    """Catches programs that keep a machine busy for ever after the benchmark failed."""
    started = []

    def fail():
        with waits.busy_loops(1) as loops:
            started.extend(loops)
            assert loops[0].poll() is None
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert started[0].returncode is not None


def test_every_row_runs(tiny_pipeline, tiny_model, tmp_path, monkeypatch):
    """Catches a row that breaks after ten minutes, a peak of another process, busy loops that stay away."""
    monkeypatch.setattr(waits, "LARGE", (45, 60))
    monkeypatch.setattr(waits, "OBJECT", 10)
    monkeypatch.setattr(waits, "PHOTOGRAPH", (60, 200))
    started, begin = [], waits.busy_loops

    def counted(*count):
        started.append(count)
        return begin(*count)

    monkeypatch.setattr(waits, "busy_loops", counted)
    cases = waits.wait_cases(tiny_pipeline, str(tiny_model), tmp_path)
    found = [Measured(case=case, seconds=(case.run(),)) for case in cases]
    assert all(m.median > 0 for m in found)
    assert len(started) == 1
    assert {"large-out.png", "small-out.png"} <= {path.name for path in tmp_path.iterdir()}
    assert cases[2].peak is not None
    assert 5e7 < cases[2].peak() < 4e9
    assert cases[1].bar == Bar(times=3.0, of=cases[0].name)
    table = as_markdown(found, {}, {"command": "maskmend bench", "hardware": "two cores"})
    assert "| 15 s, 2 GB |" in table
    assert "| 3 times the time without them |" in table


def test_a_bar_is_met_or_not():
    """Catches a table that says yes to whatever was measured."""
    idle = measured("idle", 3.0, bar=Bar(seconds=3.0))
    busy = measured("busy", 9.5, bar=Bar(times=3.0, of="idle"))
    large = measured("large", 1.0, bar=Bar(seconds=15.0, bytes=2e9), peak=lambda: 2.5e9)
    rows = [idle, busy, large]
    assert [meets_bar(m, rows) for m in rows] == [True, False, False]
    assert meets_bar(measured("busy", 8.9, bar=Bar(times=3.0, of="idle")), rows)
    assert not meets_bar(measured("slow", 3.1, bar=Bar(seconds=3.0)), rows)
    content = as_json(rows, {}, {})
    assert [case["bar_met"] for case in content["cases"]] == [True, False, False]
    assert content["cases"][2]["peak_bytes"] == 2.5e9
