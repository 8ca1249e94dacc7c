"""A widget that shows `Cells`, and sends only the cells that changed."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from sslterm.render.cells import Cells
from sslterm.render.palette import GROUND, rgb
from sslterm.render.theme import DARK, Theme


@lru_cache(maxsize=16384)
def _style(fg: int, bg: int) -> Style:
    return Style(
        color=None if fg == GROUND else Color.from_rgb(*rgb(fg)),
        bgcolor=None if bg == GROUND else Color.from_rgb(*rgb(bg)),
    )


def to_strip(cells: Cells, row: int, theme: Theme) -> Strip:
    """A row of cells as Textual takes it; every segment has a style."""
    segments = [Segment(text, _style(theme.color(fg), theme.color(bg))) for text, fg, bg in cells.spans(row)]
    return Strip(segments, cells.width)


class Canvas(Widget):
    """Draws itself as `Cells`. Call `redraw` when its data may have changed: no change sends nothing."""

    DEFAULT_CSS = "Canvas { background: ansi_default; color: ansi_default; }"

    shown: Cells | None = None
    """What stands on the screen."""

    def draw(self, width: int, height: int) -> Cells:
        """The widget's cells at a size."""
        raise NotImplementedError

    @property
    def in_color(self) -> bool:
        return not self.app.no_color

    @property
    def look(self) -> Theme:
        """What colours the roles are; DARK where the application has no say in it."""
        look: Theme = getattr(self.app, "look", DARK)
        return look

    def redraw(self) -> None:
        """Draw anew, and send the parts of rows that differ."""
        width, height = self.size
        if width < 1 or height < 1 or not self.display:
            return
        cells = self.draw(width, height)
        changes = cells.changes(self.shown)
        self.shown = cells
        if changes:
            self.refresh(*(Region(start, row, end - start, 1) for row, start, end in changes))

    def on_resize(self, event: Resize) -> None:
        self.redraw()

    def render_line(self, y: int) -> Strip:
        if self.shown is None or y >= self.shown.height:
            return Strip.blank(self.size.width, _style(GROUND, GROUND))
        return to_strip(self.shown, y, self.look)
