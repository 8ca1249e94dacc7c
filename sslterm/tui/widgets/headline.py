"""The first row of a screen that explores a run: what is looked at, and what is being done."""

from __future__ import annotations

from collections.abc import Sequence

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import GROUND, MUTED
from sslterm.tui.facts import SIGNS, fitting
from sslterm.tui.widgets.canvas import Canvas


class Headline(Canvas):
    """Name · state · what, and at the right a note; the note has its room before the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.run_name = ""
        self.state = "starting"
        self.parts: Sequence[tuple[int, str]] = ()
        """What is looked at, each with its rank (see `facts.fitting`)."""
        self.note = ""
        self.tint = MUTED

    def tell(self, name: str, state: str, parts: Sequence[tuple[int, str]]) -> None:
        self.run_name, self.state, self.parts = name, state, parts
        self.redraw()

    def remark(self, note: str, tint: int = MUTED) -> None:
        self.note, self.tint = note, tint
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        note = fit(self.note, width * 3 // 5 if width >= 60 else width)
        room = width - (text_width(note) + 2 if note else 0)
        sign, tint = SIGNS.get(self.state, ("?", MUTED))
        column = 0
        if room >= 8:
            column = cells.put(f"{sign} ", 0, 0, tint if self.in_color else GROUND)
            column = cells.put(fit(self.run_name, room - column), 0, column)
            for part in fitting([(0, self.state), *self.parts], room - column):
                column = cells.put(f" · {part}", 0, column)
        if note:
            cells.put_right(note, 0, width, self.tint if self.in_color else GROUND)
        return cells
