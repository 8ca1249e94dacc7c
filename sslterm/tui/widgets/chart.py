"""One chart of a run as a tile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sslterm.render.cells import Cells
from sslterm.render.chart_plot import Series, domain_of, plot_of_chart
from sslterm.render.charts import Chart
from sslterm.render.curve import Plot, draw_plot, frame_of
from sslterm.render.plot import rounded_outwards
from sslterm.render.smoothing import Smoother
from sslterm.render.view import ChartView, Domain
from sslterm.tui.widgets.curves import CurveTile


def steady(domain: Domain) -> Domain:
    """The domain with some room at its end, so that it stays for a while as the data grows."""
    if not domain.low < domain.high:
        return domain
    return replace(domain, high=rounded_outwards(domain.low, domain.high)[1])


class ChartTile(CurveTile):
    """Curves of one quantity; `tell` shows them through a view."""

    def __init__(self, chart: Chart, *, movable: bool = False) -> None:
        super().__init__(f"chart:{chart.what}", movable=movable)
        self.chart = chart
        self.series: Mapping[str, Series] = {}
        self.images_per_epoch = 0
        self._smoother = Smoother()

    def tell(
        self,
        series: Mapping[str, Series],
        view: ChartView,
        *,
        domain: Domain | None = None,
        images_per_epoch: int = 0,
        chart: Chart | None = None,
    ) -> None:
        """Show a chart of `series` through a view.

        Args:
            series: all metrics of the run; the chart takes its own.
            domain: the range of x that the charts of a screen share; otherwise that of all metrics.
            images_per_epoch: 0 where it is not known.
            chart: another one of the same quantity, as when a metric has joined it.
        """
        self.chart = chart or self.chart
        self.series, self.view, self.images_per_epoch = series, view, images_per_epoch
        domain = domain or domain_of(series, view.axis, images_per_epoch)
        self.domain = None if domain is None else steady(domain)
        self._newest = None if domain is None else domain.high
        self.redraw()

    @property
    def plot(self) -> Plot:
        """What it shows, as it can be drawn anywhere."""
        plot = plot_of_chart(
            self.chart,
            self.series,
            self.view,
            domain=self.domain,
            images_per_epoch=self.images_per_epoch,
            smoother=self._smoother,
        )
        return replace(plot, steady=True)

    def draw(self, width: int, height: int) -> Cells:
        plot = self.plot
        self._frame = frame_of(plot, width, height)
        return draw_plot(plot, width, height, color=self.in_color, selected=self.selected, frame=self._frame)
