"""A grid of curves: as many charts as fit at a readable size, the others a page further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sslterm.render.cells import Cells
from sslterm.render.charts import Axis, Chart, Series, domain_of, plot_of_chart
from sslterm.render.curve import Plot, draw_plot
from sslterm.render.palette import GROUND, MUTED
from sslterm.render.view import ChartView, Domain
from sslterm.tui.widgets.canvas import Canvas

CHART_WIDTH, CHART_HEIGHT = 34, 8
"""Cells that a chart needs at least to stand beside or above another."""


class Charts(Canvas):
    """Charts in reading order; the page is the one with the selected chart."""

    def __init__(self) -> None:
        super().__init__()
        self.charts: Sequence[Chart] = ()
        self.series: Mapping[str, Series] = {}
        self.selected: int | None = None
        self.only: bool = False
        """Whether the selected chart has all the room."""
        self.log_y = False
        self.axis: Axis = "step"
        self._domain: Domain | None = None
        """The range of x that all charts share."""

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        self._domain = domain_of(self.series, self.axis)
        if not self.charts:
            tint = MUTED if self.in_color else GROUND
            cells.put("no metrics yet", height // 2, max((width - 14) // 2, 0), tint)
            return cells
        if self.only and self.selected is not None:
            cells.paste(
                draw_plot(self._plot(self.selected), width, height, color=self.in_color, selected=True), 0, 0
            )
            return cells
        across, down = grid_shape(len(self.charts), width, height)
        first = (self.selected or 0) // (across * down) * (across * down)
        widths, heights = _shares(width, across, gap=2), _shares(height, down, gap=0)
        for place, index in enumerate(range(first, min(first + across * down, len(self.charts)))):
            row, column = divmod(place, across)
            chart = draw_plot(
                self._plot(index),
                widths[column],
                heights[row],
                color=self.in_color,
                selected=index == self.selected,
            )
            cells.paste(chart, sum(heights[:row]), sum(widths[:column]) + 2 * column)
        return cells

    def _plot(self, index: int) -> Plot:
        view = ChartView(axis=self.axis, log_y=self.log_y)
        return plot_of_chart(self.charts[index], self.series, view, domain=self._domain)


def grid_shape(count: int, width: int, height: int) -> tuple[int, int]:
    """(across, down) of a page of charts: no more than there are and no smaller than can be read."""
    down = max(min(height // CHART_HEIGHT, count), 1)
    across = max(min((width + 2) // (CHART_WIDTH + 2), -(-count // down)), 1)
    return across, max(min(down, -(-count // across)), 1)


def _shares(total: int, parts: int, *, gap: int) -> list[int]:
    """`total` less the gaps, in `parts` nearly equal whole parts."""
    room = total - gap * (parts - 1)
    return [room * (i + 1) // parts - room * i // parts for i in range(parts)]
