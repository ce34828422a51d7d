"""Durations as a person reads them."""

from maskmend.progress import duration


def test_durations_are_short_and_never_nothing_while_some_is_left() -> None:
    """Would catch "0 s left" for half a second, and hundreds of minutes."""
    given = (0.0, 0.2, 40.0, 89.4, 1500.0, 11000.0, 200_000.0)
    assert [duration(seconds) for seconds in given] == [
        "0 s",
        "1 s",
        "40 s",
        "89 s",
        "25 min",
        "3.1 h",
        "2.3 days",
    ]
