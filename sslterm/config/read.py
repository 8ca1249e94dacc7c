"""Plain tables (from TOML) to frozen dataclasses and back, every key, type and range checked.

Nothing is guessed: a whole number stands for a float and that is the only conversion. Whatever is wrong is
reported as `FILE [SECTION]: what`, with the nearest known key.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from sslterm.config.schema import ClipConfig, DataConfig, Experiment, Range
from sslterm.errors import UsageError, did_you_mean

T = TypeVar("T")


def parse(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Read a frozen dataclass from a table.

    Understands nested dataclasses, `Literal`, `tuple[X, X]`, `tuple[X, ...]`, `Mapping[str, X]`, numbers with
    a `Range`, and unions of dataclasses that are told apart by their field `name`.

    Args:
        where: what the table is, for messages: "vae/mnist" or "vae/mnist [method]".

    Raises:
        UsageError: a key is unknown or missing, or a value has the wrong type or is out of range.
    """
    fields = fields_of(cls)
    for key in table:
        if key not in fields:
            raise UsageError(f"{where}: there is no key {key!r}", did_you_mean(key, fields))
    require_keys(table, fields, where)
    return cls(**{key: convert(kind, table[key], where, key) for key, kind in fields.items()})


def parse_experiment(table: Mapping[str, Any], where: str) -> Experiment:
    """Read a whole preset; `[augment]` may be absent, and `[data]` is a `ClipConfig` where it has `frames`.

    The method's own section is kept as it is: the method checks it when it is built.

    Raises:
        UsageError: as `parse`.
    """
    table = {"augment": {}, **table}
    section = table.get("data")
    if isinstance(section, Mapping):
        table["data"] = parse(data_class(section), section, inside(where, "data"))
    experiment = parse(Experiment, table, where)
    if not experiment.optim:
        raise UsageError(
            f"{where}: there is no [optim.*] section", "name an optimizer for every parameter group"
        )
    return experiment


def data_class(section: Mapping[str, Any]) -> type[DataConfig]:
    """What `[data]` is: clips where it says how many frames, still images otherwise."""
    return ClipConfig if "frames" in section else DataConfig


_fields_by_class: dict[type[Any], Mapping[str, Any]] = {}
"""Reading types costs more than all checks of a value, and a form asks at every key that is typed."""


def fields_of(cls: type[Any]) -> Mapping[str, Any]:
    """The fields of a dataclass and their types, in order."""
    if cls not in _fields_by_class:
        hints = get_type_hints(cls, include_extras=True)
        fields = {field.name: hints[field.name] for field in dataclasses.fields(cls)}
        _fields_by_class[cls] = types.MappingProxyType(fields)
    return _fields_by_class[cls]


def require_keys(table: Mapping[str, Any], fields: Mapping[str, Any], where: str) -> None:
    """Check that nothing is missing.

    Raises:
        UsageError: naming all that is.
    """
    missing = [key for key in fields if key not in table]
    if not missing:
        return
    sections = [key for key in missing if _is_section(fields[key])]
    if sections:
        raise UsageError(f"{where}: missing " + ", ".join(f"[{_section(where, key)}]" for key in sections))
    raise UsageError(
        f"{where}: missing {', '.join(missing)}", "a preset is complete: every key has to be there"
    )


def convert(kind: Any, value: Any, where: str, key: str) -> Any:
    """`value` as the type `kind`.

    Raises:
        UsageError: it is not of that type, or out of range.
    """
    if kind is Any:
        return value
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        value = convert(args[0], value, where, key)
        for note in args[1:]:
            if isinstance(note, Range) and not within(note, value):
                raise UsageError(
                    f"{where}: {key} = {value} is out of range: it must be {describe_range(note)}"
                )
        return value
    if origin is Literal:
        if value not in args or isinstance(value, bool) is not isinstance(args[0], bool):
            raise UsageError(
                f"{where}: {key} = {value!r} is not known", did_you_mean(str(value), map(str, args))
            )
        return value
    if origin is tuple:
        return _tuple(args, value, where, key)
    if _is_section(kind):
        if dataclasses.is_dataclass(value):  # read already
            return value
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: {key} must be a section, not {describe(value)}")
        if origin in (Union, types.UnionType):
            return parse(variant(args, value, inside(where, key)), value, inside(where, key))
        if dataclasses.is_dataclass(kind):
            return parse(kind, value, inside(where, key))  # type: ignore[arg-type]
        return {name: convert(args[1], item, inside(where, key), name) for name, item in value.items()}
    return _scalar(kind, value, where, key)


def _tuple(args: tuple[Any, ...], value: Any, where: str, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where}: {key} must be a list, not {describe(value)}", "write it as [1, 2]")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(convert(args[0], item, where, f"{key}[{i}]") for i, item in enumerate(value))
    if len(value) != len(args):
        raise UsageError(f"{where}: {key} must have {len(args)} values, not {len(value)}")
    return tuple(convert(kind, value[i], where, f"{key}[{i}]") for i, kind in enumerate(args))


def _scalar(kind: Any, value: Any, where: str, key: str) -> Any:
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[kind]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        hint = ""
        if kind is int and isinstance(value, float) and value.is_integer():
            hint = f"write {int(value)}"
        raise UsageError(f"{where}: {key} must be {wanted}, not {describe(value)}", hint)
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where}: {key} must be a finite number, not {value}")
    return value


def variant(union: tuple[Any, ...], table: Mapping[str, Any], where: str) -> type[Any]:
    """The member of a union of dataclasses whose `name` the table carries.

    Raises:
        UsageError: the name is missing or unknown.
    """
    named: dict[str, type[Any]] = {name: cls for cls in union for name in get_args(fields_of(cls)["name"])}
    if "name" not in table:
        raise UsageError(f"{where}: missing name", "there is: " + ", ".join(named))
    name = table["name"]
    if not isinstance(name, str) or name not in named:
        raise UsageError(f"{where}: name = {name!r} is not known", did_you_mean(str(name), named))
    return named[name]


def within(bounds: Range, value: float) -> bool:
    """Whether a number is in range."""
    return not (
        (bounds.low is not None and value < bounds.low)
        or (bounds.high is not None and value > bounds.high)
        or (bounds.above is not None and value <= bounds.above)
        or (bounds.below is not None and value >= bounds.below)
    )


def describe_range(bounds: Range) -> str:
    """A range in words, e.g. "at least 0 and below 1"."""
    bounds_in_words = (
        ("at least", bounds.low),
        ("above", bounds.above),
        ("at most", bounds.high),
        ("below", bounds.below),
    )
    return " and ".join(f"{word} {bound:g}" for word, bound in bounds_in_words if bound is not None)


def describe(value: Any) -> str:
    """A value of the wrong type, as a message shows it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, list | tuple):
        return f"the list {list(value)}"
    if isinstance(value, Mapping):
        return "a section"
    return repr(value) if isinstance(value, int | float) else f"the {type(value).__name__} {value}"


def inside(where: str, key: str) -> str:
    """`where`, one section deeper: "f.toml [optim]" and "main" give "f.toml [optim.main]"."""
    head = where.rpartition(" [")[0] if where.endswith("]") else where
    return f"{head} [{_section(where, key)}]"


def _section(where: str, key: str) -> str:
    return f"{where.rpartition(' [')[2][:-1]}.{key}" if where.endswith("]") else key


def _is_section(kind: Any) -> bool:
    """Whether a field of this type is written as a TOML section."""
    if dataclasses.is_dataclass(kind) or get_origin(kind) is Mapping:
        return True
    return get_origin(kind) in (Union, types.UnionType) and all(map(dataclasses.is_dataclass, get_args(kind)))


def to_table(experiment: Experiment) -> dict[str, Any]:
    """An experiment as the tables that TOML is written from; `parse_experiment` reads it back."""
    table: dict[str, Any] = _plain(experiment)
    return table


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def dump(experiment: Experiment) -> str:
    """An experiment as TOML: complete, and read back exactly."""
    return dump_table(to_table(experiment))


def dump_table(table: Mapping[str, Any]) -> str:
    """TOML with lists on one line; empty sections are left out."""
    text = tomli_w.dumps({key: value for key, value in table.items() if value != {}})
    return re.sub(  # tomli_w escapes line breaks in texts, so that these are always those of a list
        r"= \[\n((?:    .*,\n)+)\]",
        lambda list_: "= [" + re.sub(r",\n\s*", ", ", list_[1]).strip(" ,") + "]",
        text,
    )
