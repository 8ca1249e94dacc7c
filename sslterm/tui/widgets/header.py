"""The first rows of a run: what it is, how far it is, how loaded the machine is."""

from __future__ import annotations

from collections.abc import Sequence

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import ACCENT, FAINT, GROUND, MUTED
from sslterm.run.status import Status
from sslterm.tui.facts import SIGNS, clock_parts, fitting, share_done
from sslterm.tui.widgets.canvas import Canvas


class Header(Canvas):
    """Name · state · clock, the load at the right, and below it a bar of the progress."""

    def __init__(self) -> None:
        super().__init__()
        self.run_name = ""
        self.state = "starting"
        self.status: Status | None = None
        self.load: Sequence[tuple[int, str]] = ()

    def tell(self, name: str, state: str, status: Status | None, load: Sequence[tuple[int, str]]) -> None:
        self.run_name, self.state, self.status, self.load = name, state, status, load
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        sign, tint = SIGNS.get(self.state, ("?", MUTED))
        if not self.in_color:
            tint = GROUND
        column = cells.put(f"{sign} ", 0, 0, tint)
        column = cells.put(fit(self.run_name, max(width - column - text_width(self.state) - 3, 4)), 0, column)
        column = cells.put(" · ", 0, column, MUTED if self.in_color else GROUND)
        column = cells.put(fit(self.state, width - column), 0, column, tint)
        told = self.state == "starting" and self.status is not None and self.status.message
        parts = [(0, self.status.message)] if told and self.status else []
        parts += clock_parts(self.status, self.state) if self.status else []
        for part in fitting(parts, width - column):
            column = cells.put(f" · {part}", 0, column)
        load = " · ".join(fitting(self.load, width - column))
        cells.put_right(load, 0, width, MUTED if self.in_color else GROUND)
        if height > 1:
            cells.paste(progress_bar(share_done(self.status), width, color=self.in_color), 1, 0)
        return cells


def progress_bar(share: float, width: int, *, color: bool) -> Cells:
    """A bar of `width` cells with the percentage at its end."""
    text = f" {100 * share:3.0f} %" if width >= 12 else ""
    room = max(width - len(text), 0)
    halves = round(share * room * 2)
    cells = Cells.blank(width, 1)
    full, half = divmod(halves, 2)
    cells.put("━" * full, 0, 0, ACCENT if color else GROUND)
    if half:
        cells.put("╸", 0, full, ACCENT if color else GROUND)
    rest = ("━" if color else "─") * (room - full - half)
    cells.put(rest, 0, full + half, FAINT if color else GROUND)
    cells.put(text, 0, room)
    return cells
