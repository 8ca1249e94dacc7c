"""A tile that shows a panel: a cursor that reads it, its change since the drawing before, one image enlarged."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from textual.events import Leave, MouseMove, Resize
from textual.timer import Timer
from textual.widget import Widget

from sslterm.render.cells import Cells, fit
from sslterm.render.cursor import Reading, Spot
from sslterm.render.image_cursor import close_up
from sslterm.render.palette import ACCENT, ERROR, GROUND, MUTED
from sslterm.render.panel import difference, draw_panel, move_spot, picture_rows, read_panel, read_spot
from sslterm.render.picture_pixels import pixels_of
from sslterm.run.panels import Panel
from sslterm.tui.graphics import HALF, Graphics
from sslterm.tui.widgets.message import message_cells
from sslterm.tui.widgets.tile import Tile

SECONDS_A_HEATMAP: Final = 2.0
"""A heatmap is sent anew at most this often while a run trains: it takes tens of kilobytes."""
SECONDS_WHEN_ASKED: Final = 0.2
"""The same where a person goes through its history: a key that is held comes thirty times a second."""


@dataclass(frozen=True, eq=False)
class _Shown:
    """What `show` was told."""

    panel: Panel | None = None
    before: Panel | None = None
    since: str = ""
    when: str = ""
    place: str = ""
    trouble: str = ""

    def like(self, other: _Shown | None) -> bool:
        """Whether both are of the same drawing, and say the same."""
        if other is None or self.panel is not other.panel or self.before is not other.before:
            return False
        mine, theirs = (replace(one, panel=None, before=None) for one in (self, other))
        return vars(mine) == vars(theirs)


class PanelTile(Tile):
    """One panel. The mouse reads what it is over; keys move the cursor by `move_cursor`.

    Attributes:
        cursor: the datum that is read; it stays in the next drawing of the same panel.
    """

    DEFAULT_CSS = "PanelTile { layers: picture; } PanelTile > * { layer: picture; dock: left; }"

    def __init__(self, key: str, *, graphics: Graphics = HALF, movable: bool = False) -> None:
        super().__init__(key, movable=movable)
        self.graphics = graphics
        self.cursor: Spot | None = None
        self._now = _Shown()
        self._waiting: _Shown | None = None
        self._timer: Timer | None = None
        self._drawn_at = self._asked_at = -SECONDS_A_HEATMAP
        self._hovered = False
        """The cursor follows the mouse, and goes with it."""
        self._difference = False
        self._zoomed = False
        self._picture: Widget | None = None
        self._pictured: tuple[object, ...] | None = None

    # -- what is shown

    @property
    def panel(self) -> Panel | None:
        """The panel as it was drawn last."""
        return self._now.panel

    @property
    def place(self) -> str:
        """Where the picture of that panel lies."""
        return self._now.place

    def show(
        self,
        panel: Panel | None,
        *,
        before: Panel | None = None,
        since: str = "",
        when: str = "",
        place: str = "",
        trouble: str = "",
        at_once: bool = True,
    ) -> None:
        """Show a panel, or in its place what is wrong with it.

        Args:
            before: the drawing before it, for `difference`; `since` says when that was: "512 k images".
            at_once: a person asked for it. Otherwise a heatmap waits until the last one has stood for two
                seconds; of those that are asked for in a burst, until the last of them has for a fifth of one.
                The newest of those that wait is drawn.
        """
        shown = _Shown(panel, before, since, when, place, trouble)
        if shown.like(self._waiting or self._now):
            return
        ready = self._asked_at + SECONDS_WHEN_ASKED if at_once else self._drawn_at + SECONDS_A_HEATMAP
        left = ready - time.monotonic()
        same = panel is not None and self._now.panel is not None and panel.name == self._now.panel.name
        if same and panel is not None and panel.kind == "matrix" and left > 0:
            self._waiting = shown
            if self._timer is not None and at_once:
                self._timer.stop()
            if self._timer is None or at_once:
                self._timer = self.set_timer(left, partial(self._draw_waiting, asked=at_once))
            return
        self._take(shown)
        if at_once and same:
            self._asked_at = time.monotonic()

    def _draw_waiting(self, *, asked: bool) -> None:
        self._timer = None
        if self._waiting is not None:
            self._take(self._waiting)
            if asked:
                self._asked_at = time.monotonic()

    def _take(self, shown: _Shown) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        was = self._now.panel
        if was is None or shown.panel is None or (was.name, was.kind) != (shown.panel.name, shown.panel.kind):
            self.cursor, self._zoomed = None, False
        self._now, self._waiting = shown, None
        self._drawn_at = time.monotonic()
        self.redraw()

    @property
    def difference(self) -> bool:
        """Whether the change since the drawing before is shown, where there is one to be compared."""
        return self._difference

    @difference.setter
    def difference(self, wanted: bool) -> None:
        self._difference = wanted
        self.redraw()

    @property
    def zoomed(self) -> bool:
        """Whether the one image under the cursor, with its pair, is shown in place of all images."""
        return self._zoomed

    @zoomed.setter
    def zoomed(self, wanted: bool) -> None:
        self._zoomed = wanted
        self.redraw()

    # -- the cursor

    def move_cursor(self, dx: int, dy: int) -> None:
        """Move by `dx` data cells to the right and `dy` down; begin near the middle."""
        if self._now.panel is None:
            return
        panel, where = self._compared(self._now.panel), self._now.place
        self._hovered = False
        self._point_at(move_spot(panel, *self.size, self.cursor, dx, dy, place=where))

    def clear_cursor(self) -> None:
        self._hovered = False
        self._point_at(None)

    @property
    def reading(self) -> Reading | None:
        """What is said of the datum under the cursor."""
        if self._now.panel is None or self.cursor is None:
            return None
        return read_spot(self._compared(self._now.panel), *self.size, self.cursor, place=self._now.place)

    def _point_at(self, spot: Spot | None) -> None:
        if spot != self.cursor:
            self.cursor = spot
            self.redraw()

    def on_mouse_move(self, event: MouseMove) -> None:
        if self._now.panel is None or self._zoomed or self.moving:
            return
        panel = self._compared(self._now.panel)
        column, row = event.screen_offset - self.content_region.offset  # the event may be the picture's
        found = read_panel(panel, *self.size, row, column, place=self._now.place)
        if found is not None:
            self._hovered = True
            self._point_at(found.spot)
        elif self._hovered:
            self.clear_cursor()

    def on_leave(self, event: Leave) -> None:
        if self._hovered and not self._zoomed:
            self.clear_cursor()

    # -- drawing

    def _compared(self, panel: Panel) -> Panel:
        """The panel, or its change where that is wanted and known."""
        change = difference(panel, self._now.before, self._now.since) if self._difference else None
        return panel if change is None else change

    def _final(self) -> tuple[Panel, str] | None:
        """The panel as it is to be drawn, and what its title says besides the name."""
        now = self._now
        if now.panel is None:
            return None
        if self._zoomed and now.panel.kind == "images" and len(now.panel.array):
            return close_up(now.panel, self.cursor), now.when
        panel = self._compared(now.panel)
        if panel is not now.panel:
            return replace(panel, caption=""), panel.caption
        if self._difference and panel.kind in ("matrix", "bars"):
            return panel, "no drawing before this one"
        return panel, now.when

    def draw(self, width: int, height: int) -> Cells:
        final = self._final()
        if final is None:
            return self._message(width, height)
        panel, when = final
        cursor = None if self._zoomed and panel.kind == "images" else self.cursor
        cells = draw_panel(
            panel, width, height,
            color=self.in_color, when=when, place=self._now.place, selected=self.selected, cursor=cursor,
        )  # fmt: skip
        self._show_pixels(panel, cursor, width, height)
        return cells

    def _message(self, width: int, height: int) -> Cells:
        self._show_pixels(None, None, width, height)
        trouble = self._now.trouble
        cells = message_cells(trouble or "no panels yet", width, height, ERROR if trouble else MUTED)
        if height >= 3:
            title = ("▸ " if self.selected else "") + self.key.partition(":")[2]
            cells.put(fit(title, width), 0, 0, ACCENT if self.selected else GROUND)
        return cells if self.in_color else cells.uncolored()

    def on_resize(self, event: Resize) -> None:
        self._pictured = None
        super().on_resize(event)

    def _show_pixels(self, panel: Panel | None, cursor: Spot | None, width: int, height: int) -> None:
        """Lay the picture in the terminal's own pixels over the half-blocks, where that is not there yet.

        A cursor that keys move is marked in the half-blocks, so that the picture goes; of the mouse everybody
        sees where it is.
        """
        if self.graphics.protocol == "half" or not self.in_color:
            return
        marked = cursor is not None and not self._hovered
        wanted = None if panel is None or marked else self._identity(panel, width, height)
        if wanted == self._pictured:
            return
        self._pictured = wanted
        if self._picture is not None:
            self._picture.remove()
            self._picture = None
        if wanted is None or panel is None:
            return
        top, rows = picture_rows(panel, width, height, place=self._now.place)
        picture = pixels_of(panel, width, rows, cell=self.graphics.cell, theme=self.look)
        if picture is None:
            return
        shown = self.graphics.widget(picture)
        across, down = self.graphics.cell
        shown.styles.width, shown.styles.height = picture.width // across, picture.height // down
        shown.styles.offset = (0, top)
        self._picture = shown
        self.mount(shown)

    def _identity(self, panel: Panel, width: int, height: int) -> tuple[object, ...]:
        """What the picture of a panel depends on: equal where it would be the same picture."""
        enlarged = self._zoomed and panel.kind == "images"
        compared = self._now.panel is not None and panel.array is not self._now.panel.array
        return (self._now, self.cursor if enlarged else None, enlarged, compared, width, height)
