"""One thing to look at in a grid: a chart or a panel."""

from __future__ import annotations

from textual.events import Click
from textual.message import Message

from sslterm.tui.widgets.canvas import Canvas


class Tile(Canvas):
    """A canvas that can be selected; a click selects it, a double click enlarges it.

    Attributes:
        key: what it shows, as it is remembered: "chart:loss", "panel:cross-correlation".
        selected: whether its title is marked.
    """

    class Chosen(Message):
        """A person has clicked on a tile."""

        def __init__(self, tile: Tile, *, enlarge: bool) -> None:
            super().__init__()
            self.tile = tile
            self.enlarge = enlarge

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self.selected = False

    def select(self, selected: bool) -> None:
        if selected != self.selected:
            self.selected = selected
            self.redraw()

    def on_click(self, event: Click) -> None:
        self.post_message(self.Chosen(self, enlarge=event.chain == 2))
