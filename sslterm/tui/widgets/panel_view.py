"""One panel: the newest of its kind, or one of its history."""

from __future__ import annotations

from textwrap import wrap

from sslterm.render.cells import Cells
from sslterm.render.palette import ERROR, MUTED
from sslterm.render.panel import draw_panel
from sslterm.run.panels import Panel
from sslterm.tui.widgets.canvas import Canvas


class PanelView(Canvas):
    """A panel with when it was made and where its picture lies."""

    def __init__(self) -> None:
        super().__init__()
        self.panel: Panel | None = None
        self.when = ""
        self.place = ""
        self.trouble = ""
        self.selected = True

    def show(self, panel: Panel | None, *, when: str = "", place: str = "", trouble: str = "") -> None:
        """Show a panel, or in its place what is wrong with it."""
        self.panel, self.when, self.place, self.trouble = panel, when, place, trouble
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        if self.panel is not None:
            return draw_panel(
                self.panel,
                width,
                height,
                color=self.in_color,
                when=self.when,
                place=self.place,
                selected=self.selected,
            )
        message = self.trouble or "no panels yet"
        cells = message_cells(message, width, height, ERROR if self.trouble else MUTED)
        return cells if self.in_color else cells.uncolored()


def message_cells(message: str, width: int, height: int, tint: int) -> Cells:
    """A message in the middle, wrapped."""
    cells = Cells.blank(width, height)
    for offset, text in enumerate(wrap(message, max(width, 1))):
        cells.put(text, height // 2 + offset, max((width - len(text)) // 2, 0), tint)
    return cells
