"""The time that windows still take, from those decoded so far."""

from types import SimpleNamespace

import pytest

from maskmend.fill.pace import WindowPace


def paced(steps=8):
    clock = SimpleNamespace(now=100.0)
    return WindowPace(steps, lambda: clock.now), clock


def tell(pace, step, together, parts, last=()):
    """One decoding step of the windows in `together`, told window by window."""
    for part in together:
        pace.update(window=part, concurrent=together, windows=parts, step=step, last=part in last)
        yield pace.left


def test_windows_decoded_together_take_the_time_of_one_batch():
    """Catches an estimate several times too long while only the first window of a batch has been told."""
    pace, clock = paced()
    for step in range(1, 9):
        clock.now += 0.5
        left = list(tell(pace, step, (1, 2, 3, 4), 12))
        assert left == pytest.approx([0.5 * (24 - step)] * 4)
    assert pace.spent == 4.0


def test_a_window_that_is_settled_waits_for_those_decoded_with_it():
    """Catches a small hole's window that counts as done, and makes the others seem quicker than they are."""
    pace, clock = paced(steps=4)
    clock.now += 1
    list(tell(pace, 1, (1, 2), 4, last=(2,)))
    assert pace.left == 7
    clock.now += 1
    list(tell(pace, 2, (1, 2), 4, last=(2,)))
    assert pace.left == 6
    clock.now += 1
    list(tell(pace, 3, (1, 2), 4, last=(1, 2)))  # nothing is left for the fourth step
    assert pace.left == 3


def test_the_next_samples_are_counted_anew():
    """Catches a time left of nothing while the next samples of the same windows begin."""
    pace, clock = paced(steps=2)
    for step in (1, 2):
        clock.now += 5
        list(tell(pace, step, (1,), 1, last=(1,) if step == 2 else ()))
    assert pace.left == 0
    list(tell(pace, 1, (1,), 1))
    clock.now += 3
    list(tell(pace, 1, (1,), 1))
    assert (pace.spent, pace.left) == (3, 3)


def test_finer_scales_are_part_of_the_time_left():
    """Catches "0 s left" before the windows that take longest."""
    pace, clock = paced(steps=4)
    clock.now += 6
    pace.update(window=1, concurrent=(1,), windows=1, step=4, last=True, finer=10)
    assert pace.left == pytest.approx(42)  # one step each instead of four, and as much around them
