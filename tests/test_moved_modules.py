"""docs/moved-modules.md: what it says of old names is so."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "moved-modules.md"


def rows(heading: str) -> list[tuple[list[str], list[str]]]:
    """The code in both columns of the first table below a line."""
    lines = PAGE.read_text(encoding="utf-8").split(heading, 1)[1].split("| --- | --- |\n", 1)[1].splitlines()
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        before, now = line.strip("|").split("|")
        found.append((re.findall("`([^`]+)`", before), re.findall("`([^`]+)`", now)))
    return found


def test_modules_are_where_the_page_says() -> None:
    """Catches a module that moved again while the page still names the place in between."""
    for _, modules in rows("# Moved and renamed"):
        for module in modules:
            if not module.endswith("/"):
                assert find_spec(f"maskmend.{module}") is not None, module


@pytest.mark.parametrize(("before", "now"), rows("Both names can be imported"), ids=lambda names: names[0])
def test_old_and_new_names_are_the_same_thing(before: list[str], now: list[str]) -> None:
    """Catches a script of before that no longer imports, and two classes of one name."""
    module, _, first = before[0].rpartition(".")
    old, new = import_module(f"maskmend.{module}"), import_module(f"maskmend.{now[0]}")
    for name in (first, *before[1:]):
        assert getattr(old, name) is getattr(new, name), name
