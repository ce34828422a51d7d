"""What the load run takes for a failure. The run itself, of minutes, is `load_run.py`."""

import random

import numpy as np
import pytest

import load_run
from load_cases import cases, fresh, png_of
from load_run import Run, findings, slope, unchunked

IDLE = {
    "maskmend_places_taken": 0.0,
    "maskmend_uploads": 0.0,
    "maskmend_waiting": 0.0,
    "maskmend_batch_requests_count": 1.0,
    "maskmend_batch_requests_sum": 1.0,
    "process_open_fds": 20.0,
}
"""Metrics of a server with nothing to do."""


def watched(minutes, grows):
    """(seconds, MiB) every two seconds: `grows(minutes)` above 400 MiB."""
    return [(2.0 * n, 400 + grows(n / 30)) for n in range(int(30 * minutes))]


def a_run(memory, **counts):
    run = Run("http://127.0.0.1:1")
    run.memory, run.counts = memory, run.counts + type(run.counts)(counts)
    return run


FLAT = watched(4, lambda t: 150 * min(t, 1.5))  # caches fill, and then nothing more comes


def test_memory_that_grows_on_and_on_fails_the_run():
    """Catches a leak that the report shows and nobody looks at."""
    assert findings(a_run(FLAT, right=3), IDLE, IDLE, 10) == []
    assert slope(FLAT) == pytest.approx(0, abs=0.1)
    leak = a_run(watched(4, lambda t: 12 * t), right=3)
    assert slope(leak.memory) == pytest.approx(12)
    (told,) = findings(leak, IDLE, IDLE, 10)
    assert "12.0 MiB a minute" in told
    assert findings(leak, IDLE, IDLE, 13) == []
    assert findings(a_run(FLAT[:3], right=3), IDLE, IDLE, 10) != []  # too short to say anything


@pytest.mark.parametrize("what", ["WRONG", "NONSENSE TAKEN 200", "status 503", "connection: OSError"])
def test_other_failures_still_count(what):
    assert findings(a_run(FLAT, **{what: 1}), IDLE, IDLE, 10) == [f"{what}: 1"]


@pytest.mark.parametrize(
    ("left", "word"),
    [
        ({"maskmend_places_taken": 2.0}, "2 places"),
        ({"maskmend_uploads": 1.0}, "1 uploads"),
        ({"maskmend_waiting": 3.0}, "3 requests"),
        ({"process_open_fds": 60.0}, "40 file descriptors"),
    ],
)
def test_what_is_left_behind_fails_the_run(left, word):
    """Catches places, uploads and connections that stay when all clients are gone."""
    (told,) = findings(a_run(FLAT), IDLE | left, IDLE, 10)
    assert told.startswith(word)


def test_of_a_long_run_the_last_half_hour_counts():
    """Catches an hour's slope in which caches that fill for twenty minutes hide a leak, or look like one."""
    assert slope(watched(60, lambda t: 9 * min(t, 29))) == pytest.approx(0, abs=0.1)
    assert slope(watched(120, lambda t: 2 * max(0, t - 90))) == pytest.approx(2, abs=0.01)


def test_conversions_and_known_pixels_are_checked():
    """Catches a run that calls everything right."""
    case = cases(["one", "two"])[-1]
    picture = png_of(case.pixels)
    assert case.conversion_wrong(picture) is None
    assert case.wrong([picture]) is None
    assert case.wrong([picture]) is None
    changed = case.pixels.copy()
    changed[tuple(np.argwhere(~case.hole)[0])] ^= 1
    assert "conversion" in case.conversion_wrong(png_of(changed))
    assert "known pixel" in case.wrong([png_of(changed)])
    other = case.pixels.copy()
    other[tuple(np.argwhere(case.hole)[0])] ^= 1
    assert "pixels differ" in case.wrong([png_of(other)])
    assert "2 fills" in case.wrong([picture, picture])


def test_fresh_cases_have_a_hole_and_known_pixels():
    """Catches a random mask that covers all, or nothing."""
    rng = random.Random(0)
    for _ in range(50):
        assert 0 < fresh(rng, ["one", "two"]).hole.mean() < 1


def test_chunks_are_joined():
    assert unchunked(b"4\r\nWiki\r\nA\r\n pedia \r\n.\r\n0\r\n\r\n") == b"Wiki pedia \r\n."


@pytest.mark.parametrize(("leaks", "status"), [(0, 0), (20, 1)])
def test_the_exit_status_tells(monkeypatch, capsys, leaks, status):
    """Catches a limit that is computed and not used."""
    monkeypatch.setattr("sys.argv", ["load_run.py", "http://127.0.0.1:1", "--minutes", "0"])
    monkeypatch.setattr(load_run, "cases", lambda models: [])
    monkeypatch.setattr(Run, "names", lambda _: ["one"])
    monkeypatch.setattr(load_run.time, "sleep", lambda _: None)
    monkeypatch.setattr(Run, "watch", lambda self, *_: self.memory.extend(watched(4, lambda t: leaks * t)))
    monkeypatch.setattr(Run, "metrics", lambda _: IDLE)
    assert load_run.main() == status
    assert ("MiB a minute" in capsys.readouterr().err) == bool(status)
