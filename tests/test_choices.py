"""Messages about names and values that are none of the known ones."""

import pytest

from maskmend.choices import choice_error, nearest


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("stpes", ["steps", "batch"], " (did you mean 'steps'?)"),
        ("xyz", ["steps", "batch"], " (known: batch, steps)"),
        ("xyz", [], " (known: none)"),
    ],
)
def test_nearest(name, known, hint):
    """Catches a suggestion that is no help."""
    assert nearest(name, known) == hint


def test_a_value_that_is_none_of_the_choices() -> None:
    """Catches a message without the value, the choices or the nearest one, and one as long as an upload."""
    assert choice_error("order", "halten", ("random", "halton")) == (
        "order = 'halten': choose one of 'random', 'halton' (did you mean 'halton'?)"
    )
    assert choice_error("order", 3, ("random",)) == "order = 3: choose one of 'random'"
    assert len(choice_error("order", "x" * 10**6, ("random", "halton"))) < 120
