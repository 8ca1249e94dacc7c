"""The three parts of a comparison: overlay, table, panels side by side."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from textual.events import (
    Click,
    MouseScrollDown,
    MouseScrollLeft,
    MouseScrollRight,
    MouseScrollUp,
)
from textual.message import Message

from sslterm.render.cells import Cells
from sslterm.render.comparison import Table
from sslterm.render.comparison_cells import (
    HEAD_ROWS,
    TableView,
    draw_table,
    first_row,
    last_first,
)
from sslterm.render.curve import frame_of
from sslterm.render.evaluated_cells import draw_evaluated, last_figure, shown_rows
from sslterm.render.evaluated_table import EvaluatedTable
from sslterm.render.overlay import draw_overlay, seen
from sslterm.render.palette import GROUND, MUTED
from sslterm.render.plot import Plot
from sslterm.render.side_by_side import Shot, draw_side_by_side, slots_for
from sslterm.render.view import ChartView, domain_over
from sslterm.tui.widgets.curves import CurveTile
from sslterm.tui.widgets.tile import Tile


class Part(Tile):
    """The table or the panels; it says which run was clicked on, and how the wheel turned."""

    class Marked(Message):
        """A person has clicked on a run."""

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    class Wheeled(Message):
        """The wheel was turned over a part: by places down and to the right."""

        def __init__(self, part: Part, *, down: int = 0, right: int = 0) -> None:
            super().__init__()
            self.part = part
            self.down = down
            self.right = right

    def run_at(self, column: int, row: int) -> int | None:
        """The row of the run that is shown at a place; None where there is none."""
        return None

    def on_click(self, event: Click) -> None:
        """Say which run it was; that the part was chosen, the tile says (Textual calls both)."""
        run = self.run_at(event.x, event.y)
        if run is not None:
            self.post_message(self.Marked(run))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Wheeled(self, right=1) if event.shift else self.Wheeled(self, down=1))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Wheeled(self, right=-1) if event.shift else self.Wheeled(self, down=-1))

    def on_mouse_scroll_right(self, event: MouseScrollRight) -> None:
        event.stop()
        self.post_message(self.Wheeled(self, right=1))

    def on_mouse_scroll_left(self, event: MouseScrollLeft) -> None:
        event.stop()
        self.post_message(self.Wheeled(self, right=-1))


class OverlayPart(CurveTile):
    """The overlay of one metric; it is read, zoomed and moved as any chart."""

    def __init__(self) -> None:
        super().__init__("compare:overlay")
        self.message = ""
        """In place of the overlay, where there is nothing to compare."""
        self._plot = Plot(title="", lines=())

    @property
    def plot(self) -> Plot:
        return self._plot

    def tell(self, plot: Plot, view: ChartView) -> None:
        """Show a plot, which was made for a view."""
        self._plot, self.view = plot, view
        self.domain = domain_over([line.x for line in plot.lines])
        self._newest = None if self.domain is None else self.domain.high
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        if self.message:
            return _said(self.message, width, height, color=self.in_color)
        self._frame = frame_of(seen(self._plot, color=self.in_color), width, height)
        return draw_overlay(self._plot, width, height, color=self.in_color, selected=self.selected)


class TablePart(Part):
    """The table of results, or of what `evaluate` has found; it remembers how far it is scrolled sideways."""

    def __init__(self) -> None:
        super().__init__("compare:table")
        self.table: Table | None = None
        self.evaluated: EvaluatedTable | None = None
        """Shown in place of the table, where there is one."""
        self.marked = 0
        self.hidden: frozenset[int] = frozenset()
        self.first = 0

    def scroll_columns(self, by: int) -> None:
        """Scroll by whole columns, to the right where positive, not beyond the last."""
        if self.table is not None:
            self.first = min(max(self.first + by, 0), self._last_first(self.table, self.size.width))
            self.redraw()

    def rows(self) -> int:
        """Of all that there is to see, without the two above."""
        if self.evaluated is not None:
            return len(self.evaluated.rows)
        return len(self.table.sides) if self.table is not None else 0

    def _last_first(self, table: Table, width: int) -> int:
        return last_first(table, width) if self.evaluated is None else last_figure(self.evaluated, width)

    def run_at(self, column: int, row: int) -> int | None:
        if self.table is None or row < HEAD_ROWS:
            return None
        if self.evaluated is not None:
            rows = shown_rows(self.evaluated, self.size.height, self.marked)
            return self.evaluated.places[rows[row - HEAD_ROWS]] if row - HEAD_ROWS < len(rows) else None
        run = first_row(len(self.table.sides), self.size.height, self.marked) + row - HEAD_ROWS
        return run if run < len(self.table.sides) else None

    def draw(self, width: int, height: int) -> Cells:
        if self.table is None:
            return Cells.blank(width, height)
        self.first = min(self.first, self._last_first(self.table, width))
        view = TableView(first=self.first, marked=self.marked, hidden=self.hidden, selected=self.selected)
        if self.evaluated is not None:
            return draw_evaluated(self.evaluated, width, height, color=self.in_color, view=view)
        return draw_table(self.table, width, height, color=self.in_color, view=view)


class PanelsPart(Part):
    """The same panel of every run."""

    def __init__(self) -> None:
        super().__init__("compare:panels")
        self.title_text = ""
        self.shots: Sequence[Shot] = ()
        self.marked = 0

    def run_at(self, column: int, row: int) -> int | None:
        slots = slots_for(len(self.shots), self.size.width, self.size.height - 1, self.marked)
        for index in range(min(slots.across * slots.down, len(self.shots) - slots.first)):
            top, left = slots.box(index)
            if top <= row - 1 < top + slots.height and left <= column < left + slots.width:
                return slots.first + index
        return None

    def draw(self, width: int, height: int) -> Cells:
        if not self.shots:
            return _said("no panels yet", width, height, color=self.in_color)
        return draw_side_by_side(
            self.shots,
            width,
            height,
            color=self.in_color,
            title=self.title_text,
            selected=self.selected,
            marked=self.marked,
        )


def _said(message: str, width: int, height: int, *, color: bool) -> Cells:
    """A message in the middle, wrapped."""
    cells = Cells.blank(width, height)
    lines = wrap(message, max(width, 1))
    for row, text in enumerate(lines, max((height - len(lines)) // 2, 0)):
        cells.put(text, row, max((width - len(text)) // 2, 0), MUTED if color else GROUND)
    return cells
