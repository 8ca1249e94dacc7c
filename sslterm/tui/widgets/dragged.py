"""A canvas that says where the mouse points while a button is held."""

from __future__ import annotations

from textual.events import Click, MouseDown, MouseMove, MouseUp

from sslterm.tui.widgets.canvas import Canvas


class Dragged(Canvas):
    """Calls `point_at` for the press of a button, and for every cell that the mouse is dragged over."""

    def __init__(self) -> None:
        super().__init__()
        self._dragging = False

    def point_at(self, column: int, row: int) -> None:
        """The mouse points at a cell of the canvas."""
        raise NotImplementedError

    def on_mouse_down(self, event: MouseDown) -> None:
        event.stop()
        self._dragging = True
        self.capture_mouse()
        self.point_at(int(event.x), int(event.y))

    def on_mouse_move(self, event: MouseMove) -> None:
        if self._dragging:
            self.point_at(int(event.x), int(event.y))

    def on_mouse_up(self, event: MouseUp) -> None:
        self._dragging = False
        self.release_mouse()

    def on_click(self, event: Click) -> None:
        event.stop()
