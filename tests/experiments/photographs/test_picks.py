"""Pictures picked by number."""

from pathlib import Path

import numpy as np
import pytest

from maskmend.errors import DataError
from maskmend.experiments.photographs.picks import pick, read_credits
from maskmend.experiments.photographs.strips import CELL, Row, densest, strip


def test_best_median_and_worst_are_picked() -> None:
    """Would catch pictures chosen in our favour."""
    ours, theirs = [0.3, 0.1, 0.9, 0.2, 0.2], [0.3, 0.5, 0.1, 0.1, 0.4]
    picks = pick(ours, theirs, "MI-GAN")
    assert [one.number for one in picks] == [1, 0, 2]
    assert [one.why for one in picks] == ["best against MI-GAN", "median", "worst against MI-GAN"]
    assert [one.number for one in pick([0.1, 0.1], [0.1, 0.1], "x")] == [0, 1]


def test_credits_come_from_the_manifest(tmp_path: Path) -> None:
    """Would catch a photograph shown without its author."""
    path = tmp_path / "manifest.csv"
    path.write_text(
        "file,licence,attribution_url,source_repository\na.jpg,CC BY 2.0,example.org/a,r\nb.jpg,MIT,,r\n"
    )
    assert read_credits(path) == {"a.jpg": "CC BY 2.0, example.org/a", "b.jpg": "MIT, r"}
    path.write_text("name\na.jpg\n")
    with pytest.raises(DataError, match="licence"):
        read_credits(path)
    with pytest.raises(DataError, match="no such"):
        read_credits(tmp_path / "no such.csv")


def test_a_whole_photograph_is_shown_where_its_hole_is() -> None:
    """Would catch a strip of sky beside figures of a hole elsewhere."""
    hole = np.zeros((300, 500), dtype=bool)
    hole[200:290, 400:480] = True
    rows, columns = densest(hole, 128)
    assert hole[rows, columns].sum() == hole.sum()
    assert (rows.stop - rows.start, columns.stop - columns.start) == (128, 128)
    assert densest(hole[:100], 128) == (slice(0, 100), slice(0, 128))
    picture = np.zeros((300, 500, 3), np.uint8)
    row = Row(title="one", truth=picture, hole=hole, fills={"a": (picture, "x"), "b": (picture, "y")})
    wide, plain = strip([row], zoom=True), strip([row])
    assert wide.width - plain.width == CELL + 8
