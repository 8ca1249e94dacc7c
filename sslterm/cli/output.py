"""What commands print: data on stdout, as aligned text or JSON; everything else on stderr."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

GAP = "  "


def print_json(value: Any) -> None:
    """One JSON value on stdout: a line, or indented on a terminal. What is not finite becomes null."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(_finite(value), indent=indent, ensure_ascii=False) + "\n")


def print_json_line(value: Any) -> None:
    """One JSON value on stdout in a line, at once: for those that come one after the other."""
    sys.stdout.write(json.dumps(_finite(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Aligned columns under a header; those in `right` hold numbers. Lines are cut only on a terminal."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for index, row in enumerate([header, *rows]):
        cells = [
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(header, row, widths, strict=True)
        ]
        print_line(GAP.join(cells).rstrip(), dim=index == 0)


def print_fields(fields: Sequence[tuple[str, str]], *, indent: str = "") -> None:
    """`name  value` pairs, the values aligned, and folded on a terminal; empty values are left out."""
    shown = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    room = max(shutil.get_terminal_size().columns - len(indent) - width - len(GAP), 20)
    for name, value in shown:
        lines = textwrap.wrap(value, room, break_on_hyphens=False) if sys.stdout.isatty() else [value]
        for index, line in enumerate(lines or [value]):
            print_line(f"{indent}{(name if index == 0 else '').ljust(width)}{GAP}{line}")


def print_line(text: str = "", *, dim: bool = False, bold: bool = False) -> None:
    """One line on stdout, cut to the width of a terminal, styled where that is wanted."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        text = text if len(text) <= width else text[: max(width - 1, 0)] + "…"
    if (dim or bold) and color_depth() != "none":
        text = f"\x1b[{1 if bold else 2}m{text}\x1b[0m"
    sys.stdout.write(text + "\n")


def print_folded(text: str) -> None:
    """A text on stdout, on a terminal folded at its width."""
    lines = textwrap.wrap(text, shutil.get_terminal_size().columns) if sys.stdout.isatty() else [text]
    for line in lines:
        print_line(line)


def note(text: str) -> None:
    """A line for the person, on stderr."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def color_depth() -> Literal["truecolor", "256", "none"]:
    """The colours that stdout takes: none off a terminal, under NO_COLOR and on a dumb terminal."""
    forced = bool(os.environ.get("FORCE_COLOR"))
    if os.environ.get("NO_COLOR") or not (forced or sys.stdout.isatty()):
        return "none"
    terminal = os.environ.get("TERM", "")
    if os.environ.get("COLORTERM") in ("truecolor", "24bit") or terminal.endswith("-direct"):
        return "truecolor"
    if not forced and terminal in ("", "dumb", "unknown", "linux", "vt100", "vt220"):
        return "none"
    return "256"


def on_a_terminal() -> bool:
    """Whether a person can both see and answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()
