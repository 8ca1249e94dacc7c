"""What a key of a configuration takes, in words and as choices."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from sslterm.config import schema
from sslterm.config.read import describe_range, fields_of
from sslterm.config.schema import (
    ClipConfig,
    DataConfig,
    OptimConfig,
    Range,
    RunConfig,
    Schedule,
    TrainConfig,
    ViewConfig,
    WatchConfig,
)

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}


def describe_kind(kind: Any) -> str:
    """A type in words: "a whole number, at least 1"."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        ranges = [describe_range(note) for note in args[1:] if isinstance(note, Range)]
        return ", ".join([describe_kind(args[0]), *ranges])
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return f"a list, each {describe_kind(args[0])}"
        return f"a list of {len(args)}, each {describe_kind(args[0])}"
    return _WORDS.get(kind, "")


def choices_of(path: str, kind: Any) -> tuple[str, ...]:
    """All values that a key can have; () where they are too many to name.

    The `name` of an optimizer or a schedule can be that of any.
    """
    parts = path.split(".")
    if parts[0] == "optim" and parts[-1] == "name":
        union = Schedule if parts[-2] == "schedule" else OptimConfig
        return tuple(name for member in get_args(union) for name in get_args(fields_of(member)["name"]))
    if kind is bool:
        return ("true", "false")
    return tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()


_SECTIONS: Mapping[str, tuple[type[Any], ...]] = {
    "run": (RunConfig,),
    "data": (DataConfig, ClipConfig),
    "train": (TrainConfig,),
    "watch": (WatchConfig,),
    "optim": get_args(OptimConfig),
    "schedule": get_args(Schedule),
    "augment": (ViewConfig,),
}


def meaning_of(path: str) -> str:
    """What a key of the schema means, as the schema's own text says it; "" where its name says it all."""
    *sections, name = path.split(".")
    section = "schedule" if "schedule" in sections else sections[0] if sections else ""
    texts = _field_texts()
    return next((text for cls in _SECTIONS.get(section, ()) if (text := texts.get((cls.__name__, name)))), "")


@cache
def _field_texts() -> Mapping[tuple[str, str], str]:
    """The text under each field of the schema, by class and field; it is kept only in the source."""
    try:
        tree = ast.parse(Path(schema.__file__).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    found = {}
    for node in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for above, below in pairwise(node.body):
            if (
                isinstance(above, ast.AnnAssign)
                and isinstance(above.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[node.name, above.target.id] = " ".join(below.value.value.split())
    return found
