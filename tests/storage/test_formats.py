"""Formats of files: what no version reads is refused, and what a newer one reads says upgrade."""

import pytest

from maskmend.errors import DataError
from maskmend.storage.formats import check_format


def test_every_format_between_the_ends_is_read() -> None:
    assert [check_format(n, 3, "file", DataError, otherwise="") for n in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize("found", [0, -1, None, "1", True, 1.0, [1]])
def test_what_is_no_format_is_refused(found: object) -> None:
    """Would catch a damaged file that passes as one of an older format."""
    with pytest.raises(DataError, match=r"^file has format .*, expected 1 to 2: look again$"):
        check_format(found, 2, "file", DataError, otherwise="look again")


def test_a_newer_format_says_upgrade_and_one_too_old_does_not() -> None:
    """Would catch advice to start over where a newer version can continue."""
    with pytest.raises(DataError, match=r"^file has format 3, this version reads up to 2: upgrade maskmend$"):
        check_format(3, 2, "file", DataError, otherwise="")
    with pytest.raises(DataError, match=r"^file has format 1, expected 2: start over$"):
        check_format(1, 2, "file", DataError, otherwise="start over", oldest=2)
