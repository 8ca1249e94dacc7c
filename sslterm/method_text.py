"""What there is to read about methods: the tree of their kinds, and what a method's file says about it.

Files are read as text, without importing them (and so without torch).
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sslterm
from sslterm.catalog import Entry

TOPICS = {
    "pretext": "Pretext tasks",
    "representation": "Representation learning",
    "generative": "Generative learning",
}

Tree = dict[str, Any]
"""Branches by name; a leaf is the catalog's entry."""

_HEADING = re.compile(r"^([A-Z][A-Za-z ]*):$", re.MULTILINE)


@dataclass(frozen=True)
class Setting:
    """A field of a method's `Config`: what `--set method.NAME=` takes."""

    name: str
    type: str
    about: str


@dataclass(frozen=True)
class MethodText:
    """A method's file, as far as it explains the method."""

    path: Path
    citation: str
    """Title, authors, venue and identifier, as the file gives them."""
    sections: Mapping[str, str]
    """The indented parts of the module docstring by heading: "Idea", "Objective", "Departures", ..."""
    settings: tuple[Setting, ...]


def read_method_text(entry: Entry) -> MethodText:
    """Read the file that the catalog names."""
    module, _, class_name = entry.target.partition(":")
    path = _path_of(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    citation, *parts = _HEADING.split(ast.get_docstring(tree) or "")
    sections = {title: inspect.cleandoc(body) for title, body in zip(parts[::2], parts[1::2], strict=True)}
    return MethodText(path, citation.strip(), sections, _settings(tree, class_name))


def first_sentence(entry: Entry) -> str:
    """The first sentence of a method's idea; "" where its file has none, or cannot be read."""
    try:
        idea = " ".join(read_method_text(entry).sections.get("Idea", "").split())
    except (OSError, SyntaxError, ValueError):
        return ""
    return re.split(r"(?<=[.:;?!]) (?=[A-Z])", idea, maxsplit=1)[0]


def _settings(tree: ast.Module, class_name: str) -> tuple[Setting, ...]:
    """The annotated fields of `class_name.Config`, each with the text under it; those that it inherits first."""
    method = _class(tree.body, class_name)
    config = _class(method.body, "Config") if method else None
    return tuple(_fields(tree, config)) if config else ()


def _fields(tree: ast.Module, config: ast.ClassDef) -> Iterator[Setting]:
    for base in config.bases:
        if isinstance(base, ast.Name):
            yield from _inherited(tree, base.id)
    for field, below in zip(config.body, [*config.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            yield Setting(field.target.id, ast.unparse(field.annotation), _text(below))


def _inherited(tree: ast.Module, name: str) -> Iterator[Setting]:
    """The fields of a class that the module defines, or imports from another of ours."""
    if (here := _class(tree.body, name)) is not None:
        yield from _fields(tree, here)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            there = ast.parse(_path_of(node.module or "").read_text(encoding="utf-8"))
            yield from _inherited(there, name)


def _path_of(module: str) -> Path:
    """The file of one of our modules."""
    return Path(sslterm.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _class(body: list[ast.stmt], name: str) -> ast.ClassDef | None:
    return next((node for node in body if isinstance(node, ast.ClassDef) and node.name == name), None)


def _text(node: ast.stmt | None) -> str:
    """The text of an expression statement that is nothing but a text."""
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ):
        return inspect.cleandoc(node.value.value)
    return ""


def family_tree(entries: Iterable[Entry]) -> Tree:
    """Nested branches of the parts of `family`, in the order of the catalog."""
    tree: Tree = {}
    for entry in entries:
        branch = tree
        for part in entry.family.split(", "):
            branch = branch.setdefault(part, {})
        branch[entry.name] = entry
    return tree


def draw_tree(tree: Tree, lead: str = "") -> Iterator[tuple[str, Entry | None]]:
    """Lines of a tree, each with the entry that stands there."""
    for index, (name, below) in enumerate(tree.items()):
        last = index == len(tree) - 1
        is_leaf = isinstance(below, Entry)
        yield f"{lead}{'└─ ' if last else '├─ '}{name}", below if is_leaf else None
        if not is_leaf:
            yield from draw_tree(below, lead + ("   " if last else "│  "))
