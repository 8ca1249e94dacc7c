"""One thing to look at in a grid: a chart or a panel."""

from __future__ import annotations

from textual.events import Click, MouseDown, MouseMove, MouseUp
from textual.geometry import Offset
from textual.message import Message

from sslterm.tui.widgets.canvas import Canvas


class Tile(Canvas):
    """A canvas that can be selected; a click selects it, a double click enlarges it, its title can be dragged.

    Attributes:
        key: what it shows, as it is remembered: "chart:loss", "panel:cross-correlation".
        selected: whether its title is marked.
        movable: whether its title is a handle by which the mouse drags it.
        moving: whether the mouse has it by its title.
    """

    class Chosen(Message):
        """A person has clicked on a tile."""

        def __init__(self, tile: Tile, *, enlarge: bool) -> None:
            super().__init__()
            self.tile = tile
            self.enlarge = enlarge

    class Dragged(Message):
        """The title of a tile is dragged over a cell of the screen, or let go of there."""

        def __init__(self, tile: Tile, over: Offset, *, dropped: bool) -> None:
            super().__init__()
            self.tile = tile
            self.over = over
            self.dropped = dropped

    def __init__(self, key: str, *, movable: bool = False) -> None:
        super().__init__()
        self.key = key
        self.selected = False
        self.movable, self.moving = movable, False

    def select(self, selected: bool) -> None:
        if selected != self.selected:
            self.selected = selected
            self.redraw()

    def on_click(self, event: Click) -> None:
        self.post_message(self.Chosen(self, enlarge=event.chain == 2))

    def on_title(self, event: MouseDown) -> bool:
        """Whether the mouse points at the row by which the tile is dragged; the event may be a part's."""
        return self.movable and (event.screen_offset - self.content_region.offset).y == 0

    def on_mouse_down(self, event: MouseDown) -> None:
        if event.button == 1 and self.on_title(event):
            self.moving = True
            self.capture_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        if self.moving:
            self.post_message(self.Dragged(self, event.screen_offset, dropped=False))

    def on_mouse_up(self, event: MouseUp) -> None:
        if self.moving:
            self.moving = False
            self.release_mouse()
            self.post_message(self.Dragged(self, event.screen_offset, dropped=True))
