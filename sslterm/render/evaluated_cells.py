"""What `sslterm evaluate` has found of runs, in terminal cells: names stay in sight while figures scroll sideways."""

from __future__ import annotations

from collections.abc import Sequence

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.comparison import BEST, Column
from sslterm.render.comparison_cells import GAP, HEAD_ROWS, TableView, draw_columns, last_first_of
from sslterm.render.evaluated_table import EvaluatedTable
from sslterm.render.palette import ACCENT, GROUND, MUTED, categorical

_MARK = 1
"""Cells before the names."""


def draw_evaluated(table: EvaluatedTable, width: int, height: int, *, color: bool, view: TableView) -> Cells:
    """The table within `width` x `height` cells.

    Args:
        view: `marked` is the place of a run.
    """
    cells = Cells.blank(width, height)
    if width < 1 or height < 1:
        return cells
    title = f"{'▸ ' if view.selected else ''}{table.title}"
    cells.put(fit(title, width), 0, 0, ACCENT if view.selected else MUTED)
    names = _name_width(table, width)
    rows = shown_rows(table, height, view.marked)
    for line, row in enumerate(rows, HEAD_ROWS):
        place, label = table.places[row], table.rows[row][0]
        own = not label.startswith(" ")  # a run, and not its untrained network
        marked = place is not None and place == view.marked and own
        if marked:
            cells.put("▸", line, 0, ACCENT)
        tint = MUTED if place is None or not own else ACCENT if marked else GROUND
        cells.put(fit(label, names), line, _MARK, tint)
        if place is not None and own:
            cells.put(label[:1], line, _MARK, categorical(place))
    draw_columns(cells, _figures(table), rows, _MARK + names + GAP, view.first)
    return cells if color else cells.uncolored()


def shown_rows(table: EvaluatedTable, height: int, marked: int | None) -> range:
    """The rows that are seen in `height` cells: those of the marked run stay in sight, with its untrained network."""
    room, count = max(height - HEAD_ROWS, 0), len(table.rows)
    last = max(
        (row for row, place in enumerate(table.places) if place is not None and place == marked), default=0
    )
    top = min(max(last - room + 1, 0), max(count - room, 0))
    return range(top, min(top + room, count))


def last_figure(table: EvaluatedTable, width: int) -> int:
    """The first column from which on all further ones fit into `width` cells."""
    return last_first_of(_figures(table), width - _MARK - _name_width(table, width))


def _name_width(table: EvaluatedTable, width: int) -> int:
    return min(max(text_width(row[0]) for row in table.rows), max(width // 2 - _MARK, 1))


def _figures(table: EvaluatedTable) -> Sequence[Column]:
    sign = f"{BEST} "
    columns = zip(*(row[1:] for row in table.rows), strict=True)
    return [
        Column(
            name, tuple(cell.removeprefix(sign) for cell in cells), right=name in table.numbers,
            best=frozenset(row for row, cell in enumerate(cells) if cell.startswith(sign)),
        )
        for name, cells in zip(table.header[1:], columns, strict=True)
    ]  # fmt: skip
