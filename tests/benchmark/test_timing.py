"""Timing in turns: every case its share of rounds, and a limit that holds."""

import time

import pytest

from maskmend.benchmark.timing import Case, Measured, clocked, interleave


def case(name, log, seconds=0.5, **options):
    def run():
        log.append(name)
        return seconds

    return Case(group="g", name=name, run=run, **options)


def test_cases_take_turns():
    """Catches one case timed after the other, so that a machine that slows down blames the last."""
    log: list[str] = []
    found = interleave([case("a", log), case("b", log), case("c", log, every=2)], 4, limit=60.0)
    assert [len(m.seconds) for m in found] == [4, 4, 2]
    rounds = log[3:]  # after one run each that does not count
    assert set(rounds[:3]) == {"a", "b", "c"}
    assert set(rounds[3:5]) == {"a", "b"}
    assert [m.median for m in found] == [0.5] * 3


def test_a_warm_case_runs_once_more_before_each_turn():
    """Catches a figure that is that of cold caches, or two figures for one turn."""
    log: list[str] = []
    found = interleave([case("a", log, warm=True), case("b", log)], 3, limit=60.0)
    assert log.count("a") == 1 + 2 * 3
    assert log.count("b") == 1 + 3
    assert [len(m.seconds) for m in found] == [3, 3]


def test_no_round_begins_after_the_limit(clock):
    """Catches a benchmark that runs for an hour on a slow machine."""
    slow = Case(group="g", name="slow", run=clocked(lambda: time.sleep(0.02)))
    (found,) = interleave([slow], 100, limit=0.05)
    assert 1 <= len(found.seconds) <= 3
    assert found.median == pytest.approx(0.02)


def test_spread_is_the_quartiles():
    """Catches extremes told as the spread."""
    found = Measured(case=case("a", []), seconds=(1.0, 2.0, 3.0, 4.0, 100.0))
    assert found.median == 3
    assert found.quartiles == (2, 4)
