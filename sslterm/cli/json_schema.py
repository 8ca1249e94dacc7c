"""JSON Schema of what commands print with `--json`, made from the types in `outputs`, and its outline in one line."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCALARS: Mapping[Any, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null",
}  # fmt: skip

Schema = dict[str, Any]


def json_schema(shape: Any, command: str) -> Schema:
    """The schema of the output of a command, complete in itself."""
    return {"$schema": DIALECT, "title": f"{command} --json", **schema_of(shape)}


def schema_of(shape: Any) -> Schema:
    """The schema of a type.

    Args:
        shape: a TypedDict, which has no keys but its own; str, int, float, bool, None, Any, a Literal, a list,
            a dict with text for keys, or a union of them. `Annotated[X, "what it is"]` describes it.

    Raises:
        TypeError: it is another type.
    """
    origin, arguments = get_origin(shape), get_args(shape)
    if origin is Annotated:
        return {**schema_of(arguments[0]), "description": arguments[1]}
    if shape is Any:
        return {}
    if shape in SCALARS:
        return {"type": SCALARS[shape]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if origin in (Union, types.UnionType):
        return _any_of([schema_of(one) for one in arguments])
    if is_typeddict(shape):
        return _object(shape)
    raise TypeError(f"there is no schema of {shape!r}")


def _any_of(schemas: list[Schema]) -> Schema:
    """One of several; plain types are written as {"type": ["number", "null"]}."""
    plain = [schema["type"] for schema in schemas if schema.keys() == {"type"}]
    return {"type": plain} if len(plain) == len(schemas) else {"anyOf": schemas}


def _object(shape: Any) -> Schema:
    fields = _fields(shape)
    about = {"description": " ".join(shape.__doc__.split())} if shape.__doc__ else {}
    return {
        "type": "object",
        **about,
        "properties": {name: schema_of(field) for name, (field, _) in fields.items()},
        "required": [name for name, (_, required) in fields.items() if required],
        "additionalProperties": False,
    }


def _fields(shape: Any) -> dict[str, tuple[Any, bool]]:
    """{key: (type, whether it is always there)} of a TypedDict."""
    fields = {}
    for name, hint in get_type_hints(shape, include_extras=True).items():
        optional = get_origin(hint) is NotRequired
        fields[name] = (get_args(hint)[0] if optional else hint, not optional)
    return fields


def outline(shape: Any) -> str:
    """A type in one line, by its keys: "[{name, path, metrics: {...}, error?}, ...]"; `?` marks what may be absent."""
    origin, arguments = get_origin(shape), get_args(shape)
    if origin is Annotated:
        return outline(arguments[0])
    if is_typeddict(shape):
        parts = (
            name + ("" if required else "?") + _inner(field)
            for name, (field, required) in _fields(shape).items()
        )
        return "{" + ", ".join(parts) + "}"
    if origin is list:
        return f"[{outline(arguments[0])}, ...]"
    if origin is dict:
        return "{" + f"...{_inner(arguments[1])}" + "}"
    if origin in (Union, types.UnionType):
        return " or ".join(filter(None, map(outline, arguments)))
    return ""


def _inner(shape: Any) -> str:
    """What stands behind a key that holds more than one value."""
    text = outline(shape).replace("[, ...]", "[...]")
    return f": {text}" if text else ""
