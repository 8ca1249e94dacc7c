"""One image, large, and what is to be known of it below."""

from __future__ import annotations

from collections.abc import Sequence

from sslterm.render.cells import Cells, fit
from sslterm.render.field import Bytes, draw_picture
from sslterm.render.palette import GROUND, MUTED
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.message import message_cells

_LEAST_ROWS = 4
"""Of the picture, before lines below it are left out."""


class DecodedView(Canvas):
    """A title, a picture, and lines of text, of which the first ones stay where there is little room."""

    def __init__(self) -> None:
        super().__init__()
        self.image: Bytes | None = None
        """[C, H, W]"""
        self.title = ""
        self.lines: Sequence[str] = ()
        self.message = ""

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        if self.image is None:
            return message_cells(self.message, width, height, MUTED if self.in_color else GROUND)
        above = 1 if height >= 3 else 0
        lines = self.lines[: max(min(height - above - _LEAST_ROWS, height // 8), 0)]
        if above:
            cells.put(fit(self.title, width), 0, 0)
        rows = height - above - len(lines)
        cells.paste(draw_picture(self.image, width, rows, color=self.in_color), above, 0)
        for row, line in enumerate(lines, above + rows):
            cells.put(fit(line, width), row, 0, MUTED if self.in_color else GROUND)
        return cells
