"""Changes to a preset: `--set section.key=value` and `--config FILE`, checked against what is there.

Both come down to assignments to single keys. In the sections of the schema a value is checked as in a preset;
in the method's own section it has to be like the one it replaces.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import tomllib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from sslterm.config.presets import read_toml
from sslterm.config.read import convert, data_class, describe, fields_of, variant
from sslterm.config.schema import Experiment
from sslterm.errors import UsageError

Key = tuple[str, ...]
"""Where a value stands: ("optim", "main", "lr")."""


@dataclasses.dataclass(frozen=True)
class Unread:
    """A value as it was typed; what it means depends on where it goes."""

    text: str


def apply_overrides(table: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """The table with every `a.b=value` of `overrides` applied.

    A value is a TOML literal; a bare text is taken where a text stands, a whole number where a number stands.
    A new `name` of an optimizer or a schedule keeps what both have in common, and asks for the rest.

    Raises:
        UsageError: no `=`, an unknown key, a wrong type, out of range, or fields that a new `name` needs are
            missing.
    """
    assignments = []
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals:
            raise UsageError(f"--set {override}: there is no '='", "write --set section.key=value")
        key = tuple(part.strip() for part in path.split("."))
        if key in (("run", "method"), ("run", "preset")):
            raise UsageError(
                f"--set {override}: the {key[1]} is chosen on the command line",
                "sslterm train METHOD --preset PRESET",
            )
        assignments.append((key, text.strip(), f"--set {override}"))
    result = copy.deepcopy(dict(table))
    renamed = []
    for key, text, where in sorted(assignments, key=lambda one: _rank(one[0])):
        if _assign(result, key, Unread(text), where):
            renamed.append((key[:-1], where))
    _require_fields(result, renamed)
    return result


def fields_after(table: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, tuple[Any, Any]]:
    """What can be set once `overrides` are applied: {path: (value, type)}, in the order of the table.

    The value is None where a new `name` asks for a field that has not been given yet. The type is the schema's; that of
    the value in the method's own section.

    Raises:
        UsageError: as `apply_overrides`, but for missing fields.
    """
    result = copy.deepcopy(dict(table))
    parts = [override.partition("=") for override in overrides]
    keys = [(tuple(path.split(".")), text) for path, _, text in parts]
    for key, text in sorted(keys, key=lambda one: _rank(one[0])):
        _assign(result, key, Unread(text), f"--set {'.'.join(key)}={text}")
    return {".".join(key): found for key, found in _settable(result, Experiment, result)}


def _settable(
    table: Mapping[str, Any], kind: Any, section: Any, above: Key = ()
) -> Iterable[tuple[Key, Any]]:
    known = _fields(kind, section)
    for name in dict.fromkeys((*section, *known)):
        value, key = section.get(name), (*above, name)
        if isinstance(value, Mapping):
            yield from _settable(table, _kind_of(kind, section, name), value, key)
        elif key not in (("run", "method"), ("run", "preset")):
            if value is None and _is_union(known[name]):
                yield (*key, "name"), (None, str)
            elif get_origin(known.get(name)) is not Mapping:
                yield key, (value, known.get(name, type(value)))


def merge_file(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The table with all that a TOML file says, which may be a part of a preset or a whole one.

    Raises:
        UsageError: the file cannot be read, is for another method or preset, or as `apply_overrides`.
    """
    changes = read_toml(path)
    run = changes.get("run", {})
    for what in ("method", "preset"):
        if isinstance(run, Mapping) and what in run and run[what] != table["run"][what]:
            raise UsageError(
                f"{path} is for the {what} {run[what]!r}, not {table['run'][what]!r}",
                f"train {run[what]}, or remove {what} from its [run]" if what == "method"
                else f"use --preset {run[what]}, or remove preset from its [run]",
            )  # fmt: skip
    result = copy.deepcopy(dict(table))
    renamed = []
    for key, value in sorted(_leaves(changes), key=lambda one: _rank(one[0])):
        where = f"{path} [{'.'.join(key[:-1])}]" if len(key) > 1 else str(path)
        if _assign(result, key, value, where):
            renamed.append((key[:-1], where))
    _require_fields(result, renamed)
    return result


def flatten(table: Mapping[str, Any]) -> dict[str, Any]:
    """{"optim": {"main": {"lr": .1}}} -> {"optim.main.lr": .1}, in the order of the table."""
    return {".".join(key): value for key, value in _leaves(table) if not isinstance(value, Mapping)}


def _leaves(table: Mapping[str, Any], above: Key = ()) -> Iterable[tuple[Key, Any]]:
    """Every key with its value; an empty section is a leaf, so that a misspelt one does not pass unseen."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _rank(key: Key) -> tuple[bool, int]:
    """Names first, outer ones before inner ones: they decide which other keys there are."""
    return (key[-1] != "name", len(key))


def _assign(table: dict[str, Any], key: Key, value: Any, where: str) -> bool:
    """Set `key` to `value`; returns whether that made the section another optimizer or schedule."""
    section: Any = table
    kind: Any = Experiment
    for depth, part in enumerate(key[:-1]):
        if not isinstance(section, dict) or part not in section:
            raise _unknown(table, key, depth, where)
        kind, section = _kind_of(kind, section, part), section[part]
    last = key[-1]
    if not isinstance(section, dict):
        raise _unknown(table, key, len(key) - 2, where)
    known = _fields(kind, section)
    if last not in section and last not in known:
        raise _unknown(table, key, len(key) - 1, where)
    old = section.get(last)
    if isinstance(value, Unread):
        value = _literal(known.get(last), old, value.text)
    if isinstance(old, Mapping):
        if value == {}:
            return False
        inner = ", ".join(f"{'.'.join(key)}.{name}" for name in old)
        raise UsageError(f"{where}: {'.'.join(key)} is a section", f"set one of its keys: {inner}")
    if last == "name" and _is_union(kind):
        _become(section, variant(get_args(kind), {"name": value}, where), value)
        return bool(value != old)
    if last in known:
        convert(known[last], value, where, last)
    else:
        _require_alike(old, value, where, last)
    section[last] = value
    return False


def _kind_of(kind: Any, section: Mapping[str, Any], part: str) -> Any:
    """The schema's type of the section `part` of `section`, itself of type `kind`; None inside `[method]`."""
    if kind is Experiment and part == "data":
        return data_class(section["data"])
    if get_origin(kind) is Mapping:
        return get_args(kind)[1]
    return _fields(kind, section).get(part)


def _fields(kind: Any, section: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields that the schema has for a section; empty where the section is not in the schema."""
    if _is_union(kind):
        return fields_of(variant(get_args(kind), section, "[optim]"))
    return fields_of(kind) if dataclasses.is_dataclass(kind) and isinstance(kind, type) else {}


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _become(section: dict[str, Any], cls: type[Any], name: str) -> None:
    """Turn a section into another kind of optimizer or schedule; what both have stays."""
    kept = {field: section[field] for field in fields_of(cls) if field in section}
    section.clear()
    section.update(kept | {"name": name})


def _require_fields(table: Mapping[str, Any], renamed: Iterable[tuple[Key, str]]) -> None:
    """Check that sections which got a new name have all that it needs."""
    for key, where in renamed:
        section: Any = table
        kind: Any = Experiment
        for part in key:
            kind, section = _kind_of(kind, section, part), section[part]
        missing = [field for field in _fields(kind, section) if field not in section]
        if missing:
            path = ".".join(key)
            raise UsageError(
                f"{where}: {section['name']!r} also needs {', '.join(missing)}",
                "add " + " ".join(f"--set {path}.{field}=..." for field in missing)
                if where.startswith("--set") else f"add them to [{path}]",
            )  # fmt: skip


def _literal(kind: Any, old: Any, text: str) -> Any:
    """The value that `text` means: a TOML literal, a bare text where a text stands, or `.5`."""
    wants_text = isinstance(old, str) or kind is str or get_origin(kind) is Literal
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    value = parsed["value"] if parsed.keys() == {"value"} else text
    if wants_text:
        return value if isinstance(value, str) else text
    if isinstance(value, str) and value == text:
        try:
            return float(text)  # ".5" and "1." are not TOML, and clear
        except ValueError:
            return text
    return value


def _require_alike(old: Any, new: Any, where: str, key: str) -> None:
    """Check that `new` can stand where `old` stood; whether a number must be whole the method says."""
    if isinstance(old, list) and isinstance(new, list):
        for item in new if old else ():
            _require_alike(old[0], item, where, key)
        return
    if _sort(old) != _sort(new):
        raise UsageError(
            f"{where}: {key} must be {_sort(old)}, not {describe(new)}", f"it is {_show(old)} now"
        )


def _sort(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a section"


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _unknown(table: Mapping[str, Any], key: Key, depth: int, where: str) -> UsageError:
    """The error for a key that is not there; `depth` is the part of it that was not found."""
    paths = list(flatten(table))
    section: Any = table
    for part in key[:depth]:
        section = section[part]
    beside = list(section) if isinstance(section, Mapping) else []
    fixed = [".".join((*key[:depth], near, *key[depth + 1 :])) for near in _near(key[depth], beside)]
    lasts = {path.rpartition(".")[2]: None for path in paths}
    meant = (
        [path for path in fixed if path in paths]
        or [path for path in paths if path.rpartition(".")[2] == key[-1]]
        or [path for path in paths if path.rpartition(".")[2] in _near(key[-1], lasts)]
    )
    hint = (
        "did you mean " + " or ".join(map(repr, meant[:4])) + "?"
        if meant
        else "there is: " + ", ".join(beside)
    )
    return UsageError(f"{where}: there is no key {'.'.join(key)!r}", hint if meant or beside else "")


def _near(word: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
