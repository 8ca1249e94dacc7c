"""The line above the keys where a query or a key to sort by is typed."""

from __future__ import annotations

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import ACCENT, GROUND, MUTED
from sslterm.tui.line_edit import LineEdit
from sslterm.tui.widgets.canvas import Canvas


class Prompt(Canvas):
    """What is being typed, and at the right what comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.lead = ""
        self.line = LineEdit()
        self.typing = False
        self.beside = ""

    def open(self, lead: str, text: str) -> None:
        """Let a person type, beginning with a text."""
        self.lead, self.line, self.typing = lead, LineEdit.of(text), True
        self.redraw()

    def tell(self, beside: str) -> None:
        self.beside = beside
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        accent, muted = (ACCENT, MUTED) if self.in_color else (GROUND, GROUND)
        column = cells.put(self.lead, 0, 0, accent if self.typing else muted)
        least = min(text_width(self.line.text) + 2, max((width - column) // 2, 8))
        said = fit(self.beside, max(width - column - least - 1, 0))
        room = max(width - column - text_width(said) - 1, 1)
        shown, at = self.line.window(room) if self.typing else (fit(self.line.text, room), 0)
        cells.put(shown, 0, column, GROUND if self.typing else muted)
        if self.typing:
            cells.put("▏", 0, column + len(shown), accent) if at >= len(shown) else self._cursor(
                cells, column + at
            )
        cells.put_right(said, 0, width, muted)
        return cells

    def _cursor(self, cells: Cells, column: int) -> None:
        """A cursor on a character: the character in the accent colour, or hidden by it without colours."""
        if self.in_color:
            cells.fg[0, column] = ACCENT
        else:
            cells.put("▏", 0, column)
