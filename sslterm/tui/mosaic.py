"""Where the tiles of a run's screen stand: charts at the left, panels at the right, the first panel the largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CHART_WIDTH, CHART_HEIGHT = 34, 8
"""Cells that a chart needs at least to stand beside or above another."""
SMALL_WIDTH, SMALL_HEIGHT = 24, 9
"""The same of the panels below the first."""
GAP = 2
"""Columns between tiles."""


@dataclass(frozen=True)
class Place:
    """A tile's place, in cells from the upper left corner of the grid."""

    key: str
    x: int
    y: int
    width: int
    height: int


def lay_out(
    width: int, height: int, *, charts: Sequence[str], panels: Sequence[str], selected: str, enlarged: bool
) -> list[Place]:
    """The tiles that are seen on a grid of `width` x `height` cells; what does not fit is a page further.

    The page of charts is the one that has the selected chart; a panel that is selected and would not be seen
    takes the place of the first.

    Args:
        charts, panels: keys of all tiles that there are, in their order.
        selected: key of the selected tile.
        enlarged: whether that one has all the room.
    """
    if width < 1 or height < 1:
        return []
    if enlarged and selected in (*charts, *panels):
        return [Place(selected, 0, 0, width, height)]
    if not charts or not panels or width < 60:
        shown = panels if panels and (not charts or selected in panels) else charts
        if shown is panels:
            return _panels(0, width, height, panels, selected)
        return _charts(width, height, charts, selected)
    square = 2 * (height - 2)  # a picture as wide as high: a cell is two pixels high
    right = min(max(square, 12 * width // 25), width // 2)
    left = width - right - GAP
    return [
        *_charts(left, height, charts, selected),
        *_panels(left + GAP, right, height, panels, selected),
    ]


def _charts(width: int, height: int, charts: Sequence[str], selected: str) -> list[Place]:
    across, down = grid_shape(len(charts), width, height)
    at = charts.index(selected) if selected in charts else 0
    page = charts[at // (across * down) * (across * down) :][: across * down]
    widths, heights = _shares(width, across, gap=GAP), _shares(height, down, gap=0)
    places = []
    for number, key in enumerate(page):
        row, column = divmod(number, across)
        x = sum(widths[:column]) + GAP * column
        places.append(Place(key, x, sum(heights[:row]), widths[column], heights[row]))
    return places


def _panels(x: int, width: int, height: int, panels: Sequence[str], selected: str) -> list[Place]:
    """The first panel, and below it in a row as many others as can be told apart, where there is room for both."""
    most = min((width + GAP) // (SMALL_WIDTH + GAP), len(panels) - 1)
    below = height // 3
    if below < SMALL_HEIGHT or most < 1:
        shown, below = [panels[0]], 0
    else:
        shown = list(panels[: 1 + most])
    if selected in panels and selected not in shown:
        shown[0] = selected
    places = [Place(shown[0], x, 0, width, height - below)]
    widths = _shares(width, max(len(shown) - 1, 1), gap=GAP)
    for number, key in enumerate(shown[1:]):
        places.append(
            Place(key, x + sum(widths[:number]) + GAP * number, height - below, widths[number], below)
        )
    return places


def grid_shape(count: int, width: int, height: int) -> tuple[int, int]:
    """(across, down) of a page of charts: no more than there are and no smaller than can be read."""
    down = max(min(height // CHART_HEIGHT, count), 1)
    across = max(min((width + GAP) // (CHART_WIDTH + GAP), -(-count // down)), 1)
    return across, max(min(down, -(-count // across)), 1)


def _shares(total: int, parts: int, *, gap: int) -> list[int]:
    """`total` less the gaps, in `parts` nearly equal whole parts."""
    room = total - gap * (parts - 1)
    return [room * (i + 1) // parts - room * i // parts for i in range(parts)]
