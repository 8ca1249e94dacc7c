"""Scatter plots: Braille dots in the colour of the class that is most frequent in a cell; a cursor on points."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells, text_width
from sslterm.render.cursor import Mark, Reading, Spot, nearest
from sslterm.render.curve import BRAILLE, braille
from sslterm.render.palette import MUTED, categorical
from sslterm.render.quantity import number
from sslterm.run.panels import Panel

_CELLS_A_POINT = 12
"""Where there are more cells than this for each point, a point is as large as a cell, to be seen at all."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def points_of(panel: Panel) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Finite points [N, 2] and their classes [N] (0 where there are none; a class that is no number is 0)."""
    array = np.asarray(panel.array, dtype=np.float64)
    array = array[np.isfinite(array[:, :2]).all(axis=1)] if array.shape[1] >= 2 else np.zeros((0, 2))
    classes = np.nan_to_num(array[:, 2]) if array.shape[1] > 2 else np.zeros(len(array))
    return array[:, :2], np.maximum(classes, 0).astype(np.intp)


def finite_rows(panel: Panel) -> NDArray[np.intp]:
    """Where in the panel's array the points of `points_of` stand."""
    if panel.array.shape[1] < 2:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(np.isfinite(panel.array[:, :2]).all(axis=1))


def spans(points: NDArray[Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges of x and y, never empty."""
    if not len(points):
        return (0.0, 1.0), (0.0, 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    flat = high <= low
    low, high = np.where(flat, low - 0.5, low), np.where(flat, high + 0.5, high)
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def class_names(panel: Panel, classes: NDArray[np.intp]) -> dict[int, str]:
    """Names of the classes that occur; empty where there are no classes."""
    if panel.array.shape[1] < 3:
        return {}
    return {int(c): panel.labels[c] if c < len(panel.labels) else str(c) for c in np.unique(classes)}


def draw_scatter(panel: Panel, width: int, height: int, *, color: bool) -> tuple[Cells, str]:
    """A scatter panel within `width` x `height` cells, and how many points it has."""
    cells = Cells.blank(width, height)
    points, classes = points_of(panel)
    if width < 1 or height < 1 or not len(points):
        return cells, "no points"
    names = class_names(panel, classes)
    rows = height - _draw_legend(cells, names, color=color)
    row, column = _dots(points, width, rows)
    bitmap = np.zeros((4 * rows, 2 * width), dtype=bool)
    bitmap[row, column] = True
    dots = braille(bitmap)
    few = len(points) * _CELLS_A_POINT < rows * width
    cells.glyphs[:rows][dots > 0] = ord("•") if few else BRAILLE + dots[dots > 0]
    if names:
        winner = _most_frequent(row // 4 * width + column // 2, classes, rows * width).reshape(rows, width)
        if color:
            tints = np.array([categorical(c) for c in range(int(classes.max()) + 1)], dtype=np.int32)
            cells.fg[:rows][dots > 0] = tints[winner[dots > 0]]
        else:
            glyphs = np.array([ord(_DIGITS[c % len(_DIGITS)]) for c in range(int(classes.max()) + 1)])
            cells.glyphs[:rows][dots > 0] = glyphs[winner[dots > 0]]
    return cells, f"{len(points):,} points"


def _dots(points: NDArray[np.float64], width: int, rows: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the Braille dot of every point, in `rows` x `width` cells."""
    (x_low, x_high), (y_low, y_high) = spans(points)
    column = np.rint((points[:, 0] - x_low) / (x_high - x_low) * (2 * width - 1)).astype(np.intp)
    row = np.rint((y_high - points[:, 1]) / (y_high - y_low) * (4 * rows - 1)).astype(np.intp)
    return row, column


def _places(panel: Panel, width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Numbers of the points that are drawn, and their places [N, 2] as row and column, in cells."""
    points, classes = points_of(panel)
    numbers = finite_rows(panel)
    if width < 1 or height < 1 or not len(points):
        return numbers[:0], np.zeros((0, 2))
    names = class_names(panel, classes)
    row, column = _dots(points, width, height - _legend_rows(names, height))
    return numbers, np.stack([(row + 0.5) / 4, (column + 0.5) / 2], axis=1)


def locate_point(panel: Panel, width: int, height: int, row: int, column: int) -> Spot | None:
    """The point nearest to a cell; a cell counts as twice as high as wide."""
    numbers, places = _places(panel, width, height)
    away = (places - (row + 0.5, column + 0.5)) * (2, 1)
    found = nearest(np.hypot(*away.T))
    return Spot(0, int(numbers[found])) if found is not None else None


def move_point(panel: Panel, width: int, height: int, spot: Spot, dx: int, dy: int) -> Spot:
    """The next point in a direction: near, and little to the side. Where there is none, the same."""
    numbers, places = _places(panel, width, height)
    here = np.flatnonzero(numbers == spot.column)
    if not len(here):
        return Spot(0, int(numbers[0])) if len(numbers) else spot
    for _ in range(max(abs(dx), abs(dy))):
        away = (places - places[here[0]]) * (2, 1)
        ahead = away @ np.sign([dy, dx])
        aside = np.abs(away @ np.sign([dx, -dy]))
        found = nearest(np.where(ahead > 0, ahead + 2 * aside, np.inf))
        if found is None:
            break
        here = np.array([found])
    return Spot(0, int(numbers[here[0]]))


def read_point(panel: Panel, width: int, height: int, spot: Spot) -> Reading | None:
    """The point's number from 0, its class and its coordinates."""
    if not spot.column < len(panel.array) or panel.array.shape[1] < 2:
        return None
    numbers, places = _places(panel, width, height)
    here = np.flatnonzero(numbers == spot.column)
    mark = None
    if len(here):
        row, column = (int(part) for part in places[here[0]])
        mark = Mark("point", 2 * row, column, 2 * row + 2, column + 1)
    x, y = (number(float(value), 3) for value in panel.array[spot.column, :2])
    parts = [f"point {spot.column}", f"({x}, {y})"]
    if panel.array.shape[1] > 2:
        kind = int(max(np.nan_to_num(panel.array[spot.column, 2]), 0))
        parts.insert(1, panel.labels[kind] if kind < len(panel.labels) else f"class {kind}")
    return Reading(spot, " · ".join(parts), mark)


def _most_frequent(cell: NDArray[np.intp], classes: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The class that occurs most often in each of `count` cells (0 in empty ones)."""
    kinds, code = np.unique(classes, return_inverse=True)
    votes = np.bincount(cell * len(kinds) + code, minlength=count * len(kinds)).reshape(count, len(kinds))
    return np.asarray(kinds[votes.argmax(axis=1)])


def _legend_rows(names: dict[int, str], height: int) -> int:
    return 1 if names and height >= 5 else 0


def _draw_legend(cells: Cells, names: dict[int, str], *, color: bool) -> int:
    """Names of the classes in the last row; returns the rows used."""
    if not _legend_rows(names, cells.height):
        return 0
    column = 0
    for kind, name in names.items():
        sign = "●" if color else _DIGITS[kind % len(_DIGITS)]
        entry = f"{sign} {name}" if color or sign != name else sign
        if column + text_width(entry) > cells.width - (0 if kind == max(names) else 2):
            cells.put("…", cells.height - 1, column, MUTED)
            break
        column = cells.put(entry, cells.height - 1, column, categorical(kind) if color else -1) + 2
    return 1
