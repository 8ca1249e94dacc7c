"""A line of any number of points as a vertical range per column, so that no spike is lost.

Cost grows with the number of columns, and only by fast numpy passes with the number of points.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST: Final = 1e290
SMALLEST: Final = 1e-290
"""Sizes of values beyond which differences and powers overflow; what is larger is drawn as large as this."""


def envelope(
    x: NDArray[Any], y: NDArray[Any], edges: Floats, *, log_y: bool = False
) -> tuple[Floats, Floats]:
    """The lowest and highest value that a line through (x, y) has in each column.

    Points of a column give its minimum and maximum; between points the line is straight (in the logarithm of
    y where `log_y`). A value that is not finite (or not positive, where `log_y`) interrupts the line.

    Args:
        x: [N], not falling.
        y: [N]
        edges: [columns + 1], rising: where columns begin and end.

    Returns:
        (low, high), [columns] each, NaN in columns that the line does not cross; logarithms where `log_y`.
    """
    columns = len(edges) - 1
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    y = drawable(y, positive=log_y)
    if np.issubdtype(x.dtype, np.integer):
        edges = np.ceil(edges).astype(x.dtype)  # the same for whole numbers, and spares a copy of x
    cuts = np.searchsorted(x, edges, side="left")
    good = np.isfinite(y)
    if good.all():
        first, last = cuts[:-1], cuts[1:] - 1
    else:
        index = np.flatnonzero(good)
        if not len(index):
            return low, high
        among = np.searchsorted(index, cuts)
        first, last = index[np.minimum(among[:-1], len(index) - 1)], index[among[1:] - 1]
        last = np.where(among[1:] > among[:-1], last, first - 1)
    filled = np.flatnonzero(last >= first)
    if not len(filled):
        return low, high
    first, last = first[filled], last[filled]
    end = last[-1] + 1
    ranges = (np.fmin.reduceat(y[:end], first), np.fmax.reduceat(y[:end], first), y[first], y[last])
    least, most, entry, leave = (np.log10(part) if log_y else part.astype(np.float64) for part in ranges)
    low[filled], high[filled] = least, most
    joined = first[1:] == last[:-1] + 1
    _connect(low, high, filled[:-1][joined], filled[1:][joined], leave[:-1][joined], entry[1:][joined])
    return low, high


def drawable(y: NDArray[Any], *, positive: bool) -> NDArray[Any]:
    """`y` with NaN for what cannot be drawn: infinities, and what is not positive where it must be."""
    if not len(y):
        return y
    if not np.issubdtype(y.dtype, np.floating):
        y = y.astype(np.float64)
    low, high = float(np.fmin.reduce(y)), float(np.fmax.reduce(y))
    if math.isinf(low) or math.isinf(high):
        y = np.where(np.isinf(y), np.nan, y)
    if low < -LARGEST or high > LARGEST:
        y = np.clip(y, -LARGEST, LARGEST)
    if positive and low < SMALLEST:
        y = np.where(y >= max(SMALLEST, np.finfo(y.dtype).tiny), y, np.nan)
    return y


def _connect(
    low: Floats, high: Floats, a: NDArray[np.intp], b: NDArray[np.intp], at_a: Floats, at_b: Floats
) -> None:
    """Widen the ranges by straight lines from column a[i] at value at_a[i] to b[i] at at_b[i]."""
    if not len(a):
        return
    lengths = b - a + 1
    line = np.repeat(np.arange(len(a)), lengths)
    offset = np.arange(len(line)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    column, span = a[line] + offset, (b - a)[line]
    slope = (at_b - at_a)[line] / span
    left = at_a[line] + slope * np.maximum(offset - 0.5, 0)
    right = at_a[line] + slope * np.minimum(offset + 0.5, span)
    np.fmin.at(low, column, np.minimum(left, right))
    np.fmax.at(high, column, np.maximum(left, right))


def column_edges(low: float, high: float, columns: int) -> Floats:
    """Edges of columns of which the first is centred on `low` and the last on `high`: [columns + 1]."""
    half = (high - low) / max(columns - 1, 1) / 2
    edges = np.linspace(low - half, high + half, columns + 1)
    edges[0], edges[-1] = min(edges[0], low), np.nextafter(max(edges[-1], high), np.inf)
    return edges


def fill(low: Floats, high: Floats, bottom: float, top: float, rows: int) -> NDArray[np.bool_]:
    """Bitmap [rows, columns] of the ranges, row 0 at `top`; what lies outside sticks to the border."""
    scale = (rows - 1) / (top - bottom)
    with np.errstate(invalid="ignore"):
        upper = np.clip(np.rint((top - high) * scale), 0, rows - 1)
        lower = np.clip(np.rint((top - low) * scale), 0, rows - 1)
        row = np.arange(rows)[:, None]
        return np.asarray((row >= upper) & (row <= lower))
