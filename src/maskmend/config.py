"""Builds frozen dataclasses from plain dictionaries (TOML recipes, model folders), strictly.

An unknown name is an error that suggests the nearest known one; a value of the wrong type is an error that
names the field, the value and the expected type. Checks across fields are in each dataclass's
`__post_init__`.
"""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from maskmend.choices import choice_error, nearest
from maskmend.errors import ConfigError

T = TypeVar("T")

WANTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
"""What a setting of a type takes, in words."""


def from_dict(cls: type[T], data: Any, where: str = "") -> T:
    """Builds dataclass `cls` from table `data`; nested dataclasses from nested tables. Raises ConfigError."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or cls.__name__}: expected a table of settings, got {data!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values = {}
    for name, value in data.items():
        path = f"{where}.{name}" if where else name
        if name not in fields:
            raise ConfigError(f"unknown setting {path!r}{nearest(name, fields)}")
        values[name] = _convert(hints[name], value, path)
    for name, f in fields.items():
        missing = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if missing and name not in values:
            raise ConfigError(f"missing setting {f'{where}.{name}' if where else name!r}: add it")
    return cls(**values)


def _convert(hint: Any, value: Any, path: str) -> Any:
    if hint is Any:
        return value
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        kinds = [arg for arg in args if arg is not type(None)]
        fitting = (arg for arg in kinds if isinstance(arg, type) and type(value) is arg)
        return _convert(next(fitting, kinds[0]), value, path)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, path)
    if origin is Literal:
        if value not in args:
            raise ConfigError(choice_error(path, value, args))
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{path} = {value!r}: expected a list")
        return tuple(_convert(args[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} = {value!r}: expected a table")
        return {key: _convert(args[1], item, f"{path}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # not shown: its digits may be thousands
            raise ConfigError(f"{path} is larger than any float: give a smaller number") from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{path} = {value!r}: give {WANTED.get(hint, hint.__name__)}")
    return value


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` laid over `base`, table by table."""
    result = dict(base)
    for name, value in changes.items():
        inner = result.get(name)
        result[name] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def to_dict(config: Any) -> dict[str, Any]:
    """Plain dictionaries, lists and scalars, as `from_dict` reads them; settings of None are left out."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items() if item is not None}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return plain(dataclasses.asdict(config))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError when it is missing or malformed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no recipe at {path}: check the path") from None
    except (OSError, ValueError) as error:  # malformed, no UTF-8, or a number of thousands of digits
        raise ConfigError(f"cannot read recipe {path}: {error}") from None


def override(
    data: dict[str, Any], assignments: Iterable[str], example: str = "training.steps=1000"
) -> dict[str, Any]:
    """Applies `key.sub=value` assignments (values in TOML; a bare word is a string) to a copy of `data`."""
    result = {k: dict(v) if isinstance(v, dict) else v for k, v in data.items()}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {assignment!r}: write it as key=value, such as {example}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except ValueError:  # malformed, or a number of more digits than Python reads
            value = text.strip()
        *tables, last = key.strip().split(".")
        target = result
        for table in tables:
            inner = target.get(table, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {assignment!r}: {table!r} is a value, not a table")
            target[table] = dict(inner)
            target = target[table]
        target[last] = value
    return result
