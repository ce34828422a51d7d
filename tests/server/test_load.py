"""What the load run takes for a failure. The run itself, of minutes, is `load_run.py`."""

import pytest

import load_run
from load_run import Run, findings, slope


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
    assert findings(a_run(FLAT, right=3), 0, 10) == []
    assert slope(FLAT) == pytest.approx(0, abs=0.1)
    leak = a_run(watched(4, lambda t: 12 * t), right=3)
    assert slope(leak.memory) == pytest.approx(12)
    (told,) = findings(leak, 0, 10)
    assert "12.0 MiB a minute" in told
    assert findings(leak, 0, 13) == []
    assert findings(a_run(FLAT[:3], right=3), 0, 10) != []  # too short to say anything


@pytest.mark.parametrize("what", ["WRONG", "NONSENSE TAKEN 200", "status 503", "connection: OSError"])
def test_other_failures_still_count(what):
    assert findings(a_run(FLAT, **{what: 1}), 0, 10) == [f"{what}: 1"]
    assert findings(a_run(FLAT), 2, 10) == ["2 places are still taken"]


@pytest.mark.parametrize(("leaks", "status"), [(0, 0), (20, 1)])
def test_the_exit_status_tells(monkeypatch, capsys, leaks, status):
    """Catches a limit that is computed and not used."""
    monkeypatch.setattr("sys.argv", ["load_run.py", "http://127.0.0.1:1", "--minutes", "0"])
    monkeypatch.setattr(load_run, "cases", list)
    monkeypatch.setattr(load_run.time, "sleep", lambda _: None)
    monkeypatch.setattr(Run, "watch", lambda self, *_: self.memory.extend(watched(4, lambda t: leaks * t)))
    after = {"batch_requests_count": 1, "batch_requests_sum": 1, "places_taken": 0}
    monkeypatch.setattr(Run, "metrics", lambda _: {f"maskmend_{name}": n for name, n in after.items()})
    assert load_run.main() == status
    assert ("MiB a minute" in capsys.readouterr().err) == bool(status)
