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

_ROUNDING: Final = 1e-12
"""Relative error of a power of ten of a logarithm."""


def envelope(
    x: NDArray[Any], y: NDArray[Any], edges: Floats, *, log_y: bool = False, log_x: bool = False
) -> tuple[Floats, Floats]:
    """The lowest and highest value that a line through (x, y) has in each column.

    Points of a column give its minimum and maximum; between points the line is straight (in the logarithm of
    y where `log_y`, of x where `log_x`), also to points beyond the first and the last edge. A value that is not
    finite (or not positive, where `log_y`) interrupts the line; what has no logarithm of x is left out.

    Args:
        x: [N], not falling.
        y: [N]
        edges: [columns + 1], rising: where columns begin and end, in x itself.

    Returns:
        (low, high), [columns] each, NaN in columns that the line does not cross; logarithms where `log_y`.
    """
    columns = len(edges) - 1
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    y = drawable(y, positive=log_y)
    at_ends = crossings(x, y, float(edges[0]), float(edges[-1]), log_x=log_x, log_y=log_y)
    filled, first, last = _points_of_columns(x, y, edges)
    if not len(filled):
        if not np.isnan(at_ends).any():
            _connect(low, high, *(np.array([end]) for end in (0, columns - 1, *at_ends)))
        return low, high
    stop = last[-1] + 1
    ranges = (np.fmin.reduceat(y[:stop], first), np.fmax.reduceat(y[:stop], first), y[first], y[last])
    least, most, entry, leave = (np.log10(part) if log_y else part.astype(np.float64) for part in ranges)
    low[filled], high[filled] = least, most
    joined = first[1:] == last[:-1] + 1
    a, b, at_a, at_b = filled[:-1][joined], filled[1:][joined], leave[:-1][joined], entry[1:][joined]
    if not np.isnan(at_ends[0]):
        a, b, at_a, at_b = (
            _before(a, 0),
            _before(b, filled[0]),
            _before(at_a, at_ends[0]),
            _before(at_b, entry[0]),
        )
    if not np.isnan(at_ends[1]):
        a, b = np.append(a, filled[-1]), np.append(b, columns - 1)
        at_a, at_b = np.append(at_a, leave[-1]), np.append(at_b, at_ends[1])
    _connect(low, high, a, b, at_a, at_b)
    return low, high


def _before(values: NDArray[Any], value: float) -> NDArray[Any]:
    return np.concatenate([np.array([value], dtype=values.dtype), values])


def _points_of_columns(
    x: NDArray[Any], y: NDArray[Any], edges: Floats
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The columns that hold points that can be drawn, and the first and the last of each."""
    cuts = first_at(x, edges)
    good = np.isfinite(y[cuts[0] : cuts[-1]])
    if good.all():
        first, last = cuts[:-1], cuts[1:] - 1
    else:
        index = np.flatnonzero(good) + cuts[0]
        if not len(index):
            return index, index, index
        among = np.searchsorted(index, cuts)
        first, last = index[np.minimum(among[:-1], len(index) - 1)], index[among[1:] - 1]
        last = np.where(among[1:] > among[:-1], last, first - 1)
    filled = np.flatnonzero(last >= first)
    return filled, first[filled], last[filled]


def first_at(x: NDArray[Any], places: Floats) -> NDArray[np.intp]:
    """The first points of x [N], which does not fall, that are not before each place."""
    if np.issubdtype(x.dtype, np.integer):
        places = np.ceil(places).astype(x.dtype)  # the same for whole numbers, and spares a copy of x
    return np.searchsorted(x, places, side="left")


def crossings(
    x: NDArray[Any], y: NDArray[Any], low: float, high: float, *, log_x: bool = False, log_y: bool = False
) -> tuple[float, float]:
    """The values at which a line through (x, y) comes in at `low` and goes out at `high`.

    NaN where it does not: there is no point beyond, or a gap before it. `y` is as `drawable` gives it; the
    values are logarithms where `log_y`.
    """
    start, stop = (int(cut) for cut in first_at(x, np.array([low, high])))

    def at(place: float, after: int) -> float:
        if not 0 < after < len(x):
            return math.nan
        x_a, x_b = float(x[after - 1]), float(x[after])
        if x_b == place:
            return math.log10(y[after]) if log_y and y[after] > 0 else math.nan if log_y else float(y[after])
        if log_x:
            if x_a <= 0:
                return math.nan
            x_a, x_b, place = math.log(x_a), math.log(x_b), math.log(place)
        y_a, y_b = float(y[after - 1]), float(y[after])
        if log_y:
            y_a, y_b = (math.log10(end) if end > 0 else math.nan for end in (y_a, y_b))
        return y_a + (y_b - y_a) * (place - x_a) / (x_b - x_a)

    return at(low, start), at(high, stop)


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
    slope = (at_b - at_a)[line] / np.maximum(span, 1)
    left = at_a[line] + slope * np.maximum(offset - 0.5, 0)
    right = at_a[line] + slope * np.minimum(offset + 0.5, span)
    np.fmin.at(low, column, np.minimum(left, right))
    np.fmax.at(high, column, np.maximum(left, right))


def column_edges(low: float, high: float, columns: int, *, log: bool = False) -> Floats:
    """Edges [columns + 1] of columns of which the first is centred on `low` and the last on `high`.

    The half columns that would lie outside are cut off: nothing before `low` or after `high` is in a column.

    Args:
        log: `low` and `high` are logarithms to base 10, in which the columns are equal; the edges are not.
    """
    half = (high - low) / max(columns - 1, 1) / 2
    edges = np.linspace(low - half, high + half, columns + 1)
    edges[0], edges[-1] = low, high
    if log:
        edges = 10.0**edges
        edges[0], edges[-1] = edges[0] * (1 - _ROUNDING), edges[-1] * (1 + _ROUNDING)
    edges[-1] = np.nextafter(edges[-1], np.inf)
    return edges


def fill(low: Floats, high: Floats, bottom: float, top: float, rows: int) -> NDArray[np.bool_]:
    """Bitmap [rows, columns] of the ranges, row 0 at `top`; what lies outside sticks to the border."""
    scale = (rows - 1) / (top - bottom)
    with np.errstate(invalid="ignore"):
        upper = np.clip(np.rint((top - high) * scale), 0, rows - 1)
        lower = np.clip(np.rint((top - low) * scale), 0, rows - 1)
        row = np.arange(rows)[:, None]
        return np.asarray((row >= upper) & (row <= lower))
