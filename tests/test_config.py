"""Settings from tables: unknown names, wrong types, nesting, and overrides from the command line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from maskmend.config import from_dict, override, read_toml, to_dict
from maskmend.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 3
    rate: float = 0.5

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ConfigError(f"depth = {self.depth}: choose at least 1")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    channels: tuple[int, ...] = (1, 2)
    kind: Literal["plain", "fancy"] = "plain"
    flag: bool = False
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)
    other: Inner | None = None
    weights: dict[str, float] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)


def test_all_kinds_of_settings_are_built():
    """Catches values that arrive as another type than the code that reads them expects."""
    built = from_dict(
        Outer,
        {
            "name": "x",
            "channels": [3, 4, 5],
            "kind": "fancy",
            "flag": True,
            "limit": 7,
            "inner": {"depth": 9, "rate": 2},
            "other": {"depth": 1},
            "weights": {"a": 1},
            "free": {"b": [1, "two"]},
        },
    )
    inner = Inner(depth=9, rate=2.0)
    expected = Outer(
        name="x",
        channels=(3, 4, 5),
        kind="fancy",
        flag=True,
        limit=7,
        inner=inner,
        other=Inner(depth=1),
        weights={"a": 1.0},
        free={"b": [1, "two"]},
    )
    assert built == expected
    assert isinstance(built.channels, tuple)
    assert isinstance(built.inner.rate, float)
    assert isinstance(built.weights["a"], float)


def test_what_is_not_given_keeps_its_default():
    """Catches defaults that are overwritten by nothing."""
    assert from_dict(Outer, {"name": "x", "inner": {}, "limit": None}) == Outer(name="x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"nam": "x"}, r"unknown setting 'nam' \(did you mean 'name'\?\)"),
        ({"name": "x", "inner": {"dept": 2}}, r"unknown setting 'inner\.dept' \(did you mean 'depth'\?\)"),
        ({"name": "x", "inner": {"zzz": 2}}, r"unknown setting 'inner\.zzz' \(known: depth, rate\)"),
        ({}, "missing setting 'name': add it"),
        ({"name": 3}, "name = 3: give a text"),
        ({"name": "x", "flag": 1}, "flag = 1: give true or false"),
        ({"name": "x", "limit": True}, "limit = True: give a whole number"),
        ({"name": "x", "limit": 1.0}, r"limit = 1\.0: give a whole number"),
        ({"name": "x", "inner": {"rate": "high"}}, r"inner\.rate = 'high': give a number"),
        ({"name": "x", "inner": {"rate": True}}, r"inner\.rate = True: give a number"),
        ({"name": "x", "inner": {"rate": 10**400}}, r"inner\.rate is larger than any float: give a smaller"),
        ({"name": "x", "inner": 3}, "inner: expected a table of settings, got 3"),
        ({"name": "x", "other": []}, r"other: expected a table of settings, got \[\]"),
        (
            {"name": "x", "kind": "fany"},
            r"kind = 'fany': choose one of 'plain', 'fancy' \(did you mean 'fancy'",
        ),
        ({"name": "x", "kind": []}, r"kind = \[\]: choose one of"),
        ({"name": "x", "channels": 3}, "channels = 3: expected a list"),
        ({"name": "x", "channels": "34"}, "channels = '34': expected a list"),
        ({"name": "x", "channels": [1, "2"]}, r"channels\[1\] = '2': give a whole number"),
        ({"name": "x", "weights": [1]}, r"weights = \[1\]: expected a table"),
        ({"name": "x", "weights": {"a": "b"}}, r"weights\.a = 'b': give a number"),
        ({"name": "x", "inner": {"depth": 0}}, "depth = 0: choose at least 1"),
    ],
)
def test_what_does_not_fit_is_named(data, message):
    """Catches a setting that is ignored, or refused without its name and value."""
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, data)


def test_no_table_at_all_is_named():
    """Catches a list where a file's settings should be."""
    with pytest.raises(ConfigError, match=r"Outer: expected a table of settings, got \[1\]"):
        from_dict(Outer, [1])


def test_to_dict_is_what_from_dict_reads():
    """Catches tuples, nested classes and None, which TOML and JSON cannot hold."""
    config = Outer(name="x", channels=(5,), other=Inner(depth=2), weights={"a": 1.0})
    plain = to_dict(config)
    assert plain["channels"] == [5]
    assert plain["other"] == {"depth": 2, "rate": 0.5}
    assert "limit" not in plain
    assert from_dict(Outer, plain) == config


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("training.steps=1000", 1000),
        ("training.steps = 1000", 1000),
        ("training.steps=1e-4", 1e-4),
        ("training.steps=true", True),
        ("training.steps=[1, 2]", [1, 2]),
        ("training.steps='7'", "7"),
        ("training.steps=cosine", "cosine"),
        ("training.steps = cosine ", "cosine"),
        ("training.steps=../cats/a=b.tar", "../cats/a=b.tar"),
        ("training.steps=", ""),
        pytest.param(f"training.steps={'9' * 5000}", "9" * 5000, id="more digits than Python reads"),
    ],
)
def test_override_reads_values_as_toml(assignment, value):
    """Catches numbers that arrive as strings, and paths that are cut at a sign."""
    result = override({"training": {"steps": 1, "batch": 2}}, [assignment])
    assert result == {"training": {"steps": value, "batch": 2}}
    assert type(result["training"]["steps"]) is type(value)


def test_override_makes_tables_and_the_last_one_wins():
    """Catches a new table that is refused, and assignments applied in another order."""
    assert override({}, ["a.b.c=1", "a.b.d=2", "a.b.c=3", "e=4"]) == {"a": {"b": {"c": 3, "d": 2}}, "e": 4}


def test_override_leaves_its_input_alone():
    """Catches a recipe that is changed for the next run in the same process."""
    data = {"a": {"b": {"c": 1}}}
    override(data, ["a.b.c=2", "a.x=3"])
    assert data == {"a": {"b": {"c": 1}}}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("steps", "'steps': write it as key=value, such as training.steps=1000"),
        ("=3", "'=3': write it as key=value"),
        ("stage.steps=3", "'stage' is a value, not a table"),
    ],
)
def test_override_refuses_what_it_cannot_read(assignment, message):
    """Catches a mistyped --set that is dropped in silence."""
    with pytest.raises(ConfigError, match=message):
        override({"stage": "tokenizer"}, [assignment])


def test_read_toml(tmp_path: Path):
    """Catches errors of the TOML reader that reach the user raw."""
    path = tmp_path / "recipe.toml"
    path.write_text('stage = "tokenizer"\n[data]\ntrain = "größe"\n', encoding="utf-8")
    assert read_toml(path) == {"stage": "tokenizer", "data": {"train": "größe"}}
    with pytest.raises(ConfigError, match=r"no recipe at .*missing\.toml: check the path"):
        read_toml(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="cannot read recipe"):
        read_toml(tmp_path)
    for damaged in (b"steps = ", b"a = 1\na = 2", b"a = " + b"9" * 5000, b'a = "\xff"'):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="cannot read recipe"):
            read_toml(path)
