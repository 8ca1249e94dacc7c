"""A line of text."""

from __future__ import annotations

from sslterm.render.cells import Cells
from sslterm.render.palette import ACCENT, GROUND
from sslterm.tui.widgets.canvas import Canvas


class Line(Canvas):
    """One line, in the accent colour."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.text = text

    def say(self, text: str) -> None:
        self.text = text
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        return Cells.line(self.text, width, ACCENT if self.in_color else GROUND)
