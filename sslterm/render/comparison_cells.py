"""The table of a comparison in terminal cells: names stay in sight while the other columns scroll sideways."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.comparison import BEST, Column, Table, short_keys, shown_cell
from sslterm.render.overlay import letter, line_sign
from sslterm.render.palette import ACCENT, GOOD, GROUND, MUTED, categorical
from sslterm.run.comparison import Side

HEAD_ROWS: Final = 2
"""Rows above the first run: what is common, and the names of the columns."""
HIDDEN: Final = "○"
"""In place of the line of a run that the overlay leaves out."""

_SIGN_WIDTH: Final = 6
GAP: Final = 2
"""Cells between columns."""
_WIDEST_NAME: Final = 32


@dataclass(frozen=True, kw_only=True)
class TableView:
    """How the table is looked at.

    Attributes:
        first: the first column in sight after the names.
        marked: the row that keys act on; None marks none.
        hidden: places of runs that the overlay leaves out.
        selected: whether the title is marked.
    """

    first: int = 0
    marked: int | None = None
    hidden: Collection[int] = ()
    selected: bool = False


def first_row(count: int, height: int, marked: int | None) -> int:
    """The run in the first row, where not all `count` fit into `height` cells: the marked one stays in sight."""
    room = max(height - HEAD_ROWS, 1)
    return min(max((marked or 0) - room + 1, 0), max(count - room, 0))


def last_first(table: Table, width: int) -> int:
    """The first column from which on all further ones fit into `width` cells."""
    return last_first_of(_named(table), width - _fixed_width(table, width))


def last_first_of(columns: Sequence[Column], room: int) -> int:
    """The first of columns from which on all further ones fit into `room` cells."""
    first = len(columns)
    while first > 0 and (room := room - _width(columns[first - 1]) - GAP) >= 0:
        first -= 1
    return min(first, max(len(columns) - 1, 0))


def table_width(table: Table) -> int:
    """Cells that the whole table takes."""
    return _fixed_width(table, 1000) + sum(_width(column) + GAP for column in _named(table))


def draw_table(table: Table, width: int, height: int, *, color: bool, view: TableView) -> Cells:
    """The table within `width` x `height` cells."""
    cells = Cells.blank(width, height)
    if width < 1 or height < 1:
        return cells
    common = table.common or f"{len(table.sides)} runs"
    title = f"{'▸ ' if view.selected else ''}{common}"
    cells.put(fit(title, width), 0, 0, ACCENT if view.selected else MUTED)
    top = first_row(len(table.sides), height, view.marked)
    rows = range(top, min(top + max(height - HEAD_ROWS, 0), len(table.sides)))
    name_width = _fixed_width(table, width) - _SIGN_WIDTH
    for line, row in enumerate(rows, HEAD_ROWS):
        _draw_name(
            cells, line, table.sides[row], name_width, view=view, marked=row == view.marked, color=color
        )
    left = _SIGN_WIDTH + name_width + GAP
    draw_columns(cells, _named(table), rows, left, view.first)
    return cells if color else cells.uncolored()


def _draw_name(
    cells: Cells, line: int, side: Side, width: int, *, view: TableView, marked: bool, color: bool
) -> None:
    hidden = side.place in view.hidden
    tint = MUTED if hidden else categorical(side.place)
    sign = HIDDEN if hidden else line_sign(side.place, color=color)
    if marked:
        cells.put("▸", line, 0, ACCENT)
    cells.put(
        f"{sign}{sign} {letter(side.place)}" if not hidden else f" {sign} {letter(side.place)}", line, 1, tint
    )
    cells.put(fit(side.name, width), line, _SIGN_WIDTH, MUTED if hidden else ACCENT if marked else GROUND)


def draw_columns(cells: Cells, columns: Sequence[Column], rows: range, left: int, first: int) -> None:
    """Columns from `first` on, as far as they fit; arrows say that there are more."""
    place = left
    header = min(HEAD_ROWS - 1, cells.height - 1)
    if first > 0:
        cells.put("‹", header, left - 1, ACCENT)
    for index, column in enumerate(columns[first:], first):
        width = _width(column)
        if place + width > cells.width and index > first:
            cells.put("›", header, cells.width - 1, ACCENT)
            return
        room = min(width, cells.width - place)
        _put(cells, column.name, header, place, room, right=column.right, tint=MUTED)
        for line, row in enumerate(rows, HEAD_ROWS):
            tint = GOOD if row in column.best else GROUND
            _put(cells, shown_cell(column, row), line, place, room, right=column.right, tint=tint)
        place += width + GAP


def _put(cells: Cells, text: str, row: int, left: int, width: int, *, right: bool, tint: int) -> None:
    text = fit(text, width)
    cells.put(text, row, left + (width - text_width(text) if right else 0), tint)


def _named(table: Table) -> list[Column]:
    """All columns, those of settings under names of few parts."""
    names = short_keys([column.name for column in table.settings])
    settings = [Column(name, column.cells) for name, column in zip(names, table.settings, strict=True)]
    return [*table.results, *settings]


def _width(column: Column) -> int:
    cells = max((text_width(cell) for cell in column.cells), default=0)
    return max(text_width(column.name), cells + (text_width(BEST) + 1 if column.best else 0))


def _fixed_width(table: Table, width: int) -> int:
    """Cells for sign and name: the longest name, and not more than half of the whole."""
    longest = max((text_width(side.name) for side in table.sides), default=0)
    return _SIGN_WIDTH + min(longest, _WIDEST_NAME, max(width // 2 - _SIGN_WIDTH, 8))
