"""Rows of small images side by side, each under its title; images can be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.events import Click
from textual.message import Message

from sslterm.render.cells import Cells, fit
from sslterm.render.field import StripItem, draw_strip, item_width
from sslterm.render.palette import GROUND, MUTED
from sslterm.tui.widgets.canvas import Canvas


@dataclass(frozen=True)
class Strip:
    """Small images in a row. `name` says in messages which strip was clicked."""

    name: str
    title: str
    items: Sequence[StripItem]
    rows: int = 0
    """Rows of an image; 0: as many as there are."""


class Strips(Canvas):
    """A strip, or several side by side: each but the last takes what it needs, at most half of what is left."""

    class Chosen(Message):
        """A person has clicked on an image."""

        def __init__(self, strip: str, index: int) -> None:
            super().__init__()
            self.strip, self.index = strip, index

    def __init__(self) -> None:
        super().__init__()
        self.strips: Sequence[Strip] = ()
        self.image = (1, 1)
        """(height, width) of all images."""
        self.hint = ""
        """Stands where there are no strips."""
        self._places: list[tuple[int, int, str, int]] = []
        """(first column, column after the last, strip, index) of what is shown."""

    def rows_of_images(self, height: int) -> int:
        """Rows of an image in a widget of `height`."""
        return max(height - 2, 1)

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        self._places = []
        if not self.strips and height:
            cells.put(fit(self.hint, width), 0, 0, MUTED if self.in_color else GROUND)
        column = 0
        for place, strip in enumerate(self.strips):
            rest = len(self.strips) - place - 1
            wide = self._width_of(strip, height)
            room = width - column if not rest else min(wide, (width - column) // 2)
            self._draw_one(cells, strip, column, room, height)
            column += room + 3
        return cells

    def _width_of(self, strip: Strip, height: int) -> int:
        each = item_width(self.image, self.rows_of_images(height)) + 1
        return max(each * len(strip.items) - 1, len(strip.title))

    def _draw_one(self, cells: Cells, strip: Strip, column: int, width: int, height: int) -> None:
        cells.put(fit(strip.title, width), 0, column)
        rows = min(strip.rows + 1, height - 1) if strip.rows else height - 1
        drawn, starts = draw_strip(strip.items, self.image, width, rows, color=self.in_color)
        cells.paste(drawn, 1, column)
        ends = [*starts[1:], width]
        self._places += [
            (column + a, column + b, strip.name, i)
            for i, (a, b) in enumerate(zip(starts, ends, strict=False))
        ]

    def on_click(self, event: Click) -> None:
        event.stop()
        for first, end, strip, index in self._places:
            if first <= event.x < end:
                self.post_message(self.Chosen(strip, index))
                return
