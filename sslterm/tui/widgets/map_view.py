"""A map of an embedding: a point for each image, in the colour of its class."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from textual.message import Message

from sslterm.render.cells import Cells, fit
from sslterm.render.map import dots_of, draw_legend, draw_map, legend_of
from sslterm.render.palette import GROUND, MUTED
from sslterm.render.scatter import class_names, points_of
from sslterm.run.panels import Panel
from sslterm.tui.widgets.dragged import Dragged
from sslterm.tui.widgets.message import message_cells


class MapView(Dragged):
    """A scatter panel (finite points only) with a cursor on one of its points."""

    class Pointed(Message):
        """A person points at the map: the nearest point."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self) -> None:
        super().__init__()
        self.panel: Panel | None = None
        self.title = ""
        self.cursor = 0
        self.near: Sequence[int] = ()
        self.message = ""
        self._names: dict[int, str] = {}
        """Of the classes that occur."""

    def _split(self, width: int, height: int) -> tuple[int, list[list[tuple[str, int]]], list[str]]:
        """Rows above the map, and the lines of legend and caption below it."""
        if self.panel is None or height < 4:
            return 0, [], []
        legend = legend_of(self._names, width, color=self.in_color)[: height // 6]
        lines = wrap(self.panel.caption, max(width, 1)) if height >= 8 else []
        most = max(height // 10, 1)
        if len(lines) > most:
            lines = [*lines[: most - 1], fit(" ".join(lines[most - 1 :]), width)]
        return 1, legend, lines

    def show(self, panel: Panel, title: str, cursor: int) -> None:
        """Show another map."""
        self.panel, self.title, self.cursor, self.near = panel, title, cursor, ()
        self._names = class_names(panel, points_of(panel)[1])
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        if self.panel is None:
            return message_cells(self.message, width, height, MUTED if self.in_color else GROUND)
        above, legend, lines = self._split(width, height)
        if above:
            cells.put(fit(self.title, width), 0, 0)
        rows = height - above - len(legend) - len(lines)
        drawn = draw_map(self.panel, width, rows, color=self.in_color, marked=self.cursor, near=self.near)
        cells.paste(drawn, above, 0)
        cells.paste(draw_legend(legend, width, color=self.in_color), above + rows, 0)
        for row, line in enumerate(lines, above + rows + len(legend)):
            cells.put(line, row, 0, MUTED if self.in_color else GROUND)
        return cells

    def dots(self) -> NDArray[Any]:
        """Where the points are on the screen: [N, 2], x to the right, y downwards, at the same scale."""
        assert self.panel is not None
        width, height = self.size
        above, legend, lines = self._split(width, height)
        rows = max(height - above - len(legend) - len(lines), 1)
        return dots_of(self.panel.array[:, :2], max(width, 1), rows)

    def point_at(self, column: int, row: int) -> None:
        if self.panel is not None:
            above = self._split(*self.size)[0]
            away = self.dots() - np.array([2 * column + 0.5, 4 * (row - above) + 1.5])
            self.post_message(self.Pointed(int(np.hypot(away[:, 0], away[:, 1]).argmin())))
