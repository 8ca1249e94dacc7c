"""Scatter plots: Braille dots in the colour of the class that is most frequent in a cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells, text_width
from sslterm.render.curve import BRAILLE, braille
from sslterm.render.palette import MUTED, categorical
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
    (x_low, x_high), (y_low, y_high) = spans(points)
    column = np.rint((points[:, 0] - x_low) / (x_high - x_low) * (2 * width - 1)).astype(np.intp)
    row = np.rint((y_high - points[:, 1]) / (y_high - y_low) * (4 * rows - 1)).astype(np.intp)
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


def _most_frequent(cell: NDArray[np.intp], classes: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The class that occurs most often in each of `count` cells (0 in empty ones)."""
    kinds, code = np.unique(classes, return_inverse=True)
    votes = np.bincount(cell * len(kinds) + code, minlength=count * len(kinds)).reshape(count, len(kinds))
    return np.asarray(kinds[votes.argmax(axis=1)])


def _draw_legend(cells: Cells, names: dict[int, str], *, color: bool) -> int:
    """Names of the classes in the last row; returns the rows used."""
    if not names or cells.height < 5:
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
