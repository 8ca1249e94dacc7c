"""The cursor over a curve panel: a point of all its series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells
from sslterm.render.cursor import Mark, Reading, Spot
from sslterm.render.curve import Line, Plot, draw_plot, ranges_of
from sslterm.render.quantity import number
from sslterm.run.panels import Panel


def places_of(panel: Panel) -> NDArray[Any]:
    """Where the points of a curve stand: at their numbers, or evenly in the panel's range, [N]."""
    count = panel.array.shape[1]
    return np.arange(count) if panel.x_range is None else np.linspace(*panel.x_range, count)


def plot_of(panel: Panel) -> Plot:
    """A curve panel as a plot."""
    x = places_of(panel)
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
    return Spot(0, int(np.abs(places_of(panel) - x).argmin()))


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
    columns, x = width - gutter, float(places_of(panel)[spot.column])
    column = gutter + min(round((x - low) / (high - low) * (2 * columns - 1)) // 2, columns - 1)
    rows = height - 1 if gutter else height
    values = panel.array[:, spot.column]
    named = [
        f"{panel.labels[i]} {number(float(value))}" if len(values) > 1 and i < len(panel.labels)
        else number(float(value))
        for i, value in enumerate(values)
    ]  # fmt: skip
    points = panel.points
    where = spot.column if panel.x_range is None else number(x)
    place = points[spot.column] if spot.column < len(points) else f"{panel.x_label or 'point'} {where}"
    unit = f" {panel.y_label}" if panel.y_label else ""
    return Reading(spot, f"{place}: {', '.join(named)}{unit}", Mark("line", 2, column, 2 * rows, column + 1))
