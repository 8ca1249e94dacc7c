"""The cursor over a curve panel: a point of all its series."""

from __future__ import annotations

import numpy as np

from sslterm.render.cells import Cells
from sslterm.render.cursor import Mark, Reading, Spot
from sslterm.render.curve import Line, Plot, draw_plot, ranges_of
from sslterm.render.quantity import number
from sslterm.run.panels import Panel


def plot_of(panel: Panel) -> Plot:
    """A curve panel as a plot over the number of the point."""
    x = np.arange(panel.array.shape[1])
    names = [panel.labels[i] if i < len(panel.labels) else "" for i in range(len(panel.array))]
    lines = tuple(
        Line(name=n, x=x, y=y, hue=i) for i, (n, y) in enumerate(zip(names, panel.array, strict=True))
    )
    return Plot(
        title="", lines=lines, unit=panel.y_label, x_label=panel.x_label, low=panel.low, high=panel.high,
        points=panel.points,
    )  # fmt: skip


def draw_curve(panel: Panel, width: int, height: int, *, color: bool) -> tuple[Cells, str]:
    return draw_plot(plot_of(panel), width, height, color=color), ""


def _gutter(panel: Panel, width: int, height: int) -> int:
    """Columns left of the lines: where the axes meet, as they are drawn."""
    if width < 1 or height < 1:
        return 0
    return draw_plot(plot_of(panel), width, height, color=False).text(height - 1).find("└") + 1


def locate_sample(panel: Panel, width: int, height: int, row: int, column: int) -> Spot | None:
    """The point nearest to a column of the picture."""
    ranges, gutter = ranges_of(plot_of(panel)), _gutter(panel, width, height)
    if ranges is None or not gutter <= column < width:
        return None
    low, high = ranges.x
    x = low + (column - gutter + 0.5) / max(width - gutter, 1) * (high - low)
    return Spot(0, int(np.clip(round(x), 0, panel.array.shape[1] - 1)))


def move_sample(panel: Panel, width: int, height: int, spot: Spot, dx: int, dy: int) -> Spot:
    """`dx` points to the right."""
    return Spot(0, min(max(spot.column + dx, 0), max(panel.array.shape[1] - 1, 0)))


def read_sample(panel: Panel, width: int, height: int, spot: Spot) -> Reading | None:
    """The values of all series at a point."""
    ranges = ranges_of(plot_of(panel))
    if ranges is None or not spot.column < panel.array.shape[1] or width < 1 or height < 1:
        return None
    gutter = _gutter(panel, width, height)
    low, high = ranges.x
    columns = width - gutter
    column = gutter + min(round((spot.column - low) / (high - low) * (2 * columns - 1)) // 2, columns - 1)
    rows = height - 1 if gutter else height
    values = panel.array[:, spot.column]
    named = [
        f"{panel.labels[i]} {number(float(value))}" if len(values) > 1 and i < len(panel.labels)
        else number(float(value))
        for i, value in enumerate(values)
    ]  # fmt: skip
    points = panel.points
    place = f"{panel.x_label or 'point'} {spot.column}" if spot.column >= len(points) else points[spot.column]
    unit = f" {panel.y_label}" if panel.y_label else ""
    return Reading(spot, f"{place}: {', '.join(named)}{unit}", Mark("line", 2, column, 2 * rows, column + 1))
