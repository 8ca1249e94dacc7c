"""Curves in Braille: 2x4 dots a cell, axes with round ticks, several lines, linear and logarithmic y."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.envelope import SMALLEST, column_edges, drawable, envelope, fill
from sslterm.render.palette import ACCENT, GROUND, MUTED, categorical
from sslterm.render.quantity import linear_ticks, log_ticks, number, tick_labels

Bitmap = NDArray[np.bool_]

BRAILLE: Final = 0x2800
_DOTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint32)
_FLAT: Final = 1e-12
"""Relative difference up to which values count as equal."""
_DASHES: Final = ((1,), (1, 1, 1, 1, 0, 0), (1, 0, 0), (1, 1, 1, 1, 1, 0, 0, 1, 0, 0))
"""Dot columns that are drawn, by line, where there is no colour to tell lines apart."""
_KEYS: Final = ("━", "╍", "┅", "┄")
"""The sign of a line in the legend, by its dashes."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: x [N] not falling, y [N]; NaN is a gap. `hue` chooses its colour and dashes."""

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    hue: int = 0


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Lines over one pair of axes; the first line is drawn on top."""

    title: str
    lines: tuple[Line, ...]
    unit: str = ""
    """Unit of y."""
    x_label: str = ""
    log_y: bool = False
    low: float | None = None
    high: float | None = None
    """Range of y; None takes the data's own."""
    x_range: tuple[float, float] | None = None
    """Range of x, where it is wider than the data's own: charts beside each other share it."""


@dataclass(frozen=True)
class Ranges:
    """What the axes span; y in logarithms to base 10 where `log_y`."""

    x: tuple[float, float]
    y: tuple[float, float]
    log_y: bool


def ranges_of(plot: Plot) -> Ranges | None:
    """The ranges of a plot's axes; None where there is nothing to draw.

    A logarithmic axis needs a positive value: without one the axis is linear.
    """
    x_low, x_high = plot.x_range or (np.inf, -np.inf)
    low, high = np.inf, -np.inf
    for line in plot.lines:
        y = drawable(line.y, positive=False)
        if len(y) and np.fmin.reduce(y) <= np.fmax.reduce(y):
            x_low, x_high = min(x_low, float(line.x[0])), max(x_high, float(line.x[-1]))
            low, high = min(low, float(np.fmin.reduce(y))), max(high, float(np.fmax.reduce(y)))
    if high < low:
        return None
    low = low if plot.low is None else plot.low
    high = high if plot.high is None else plot.high
    log_y = plot.log_y and high >= SMALLEST
    if log_y:
        low = low if low >= SMALLEST else min(map(_least_positive, plot.lines))
        low, high = float(np.log10(low)), float(np.log10(high))
    if not high - low > _FLAT * max(abs(low), abs(high), SMALLEST):
        margin = 0.5 if log_y or abs(low) < SMALLEST else 0.05 * abs(low)
        low, high = low - margin, high + margin
    if not x_high > x_low:
        x_high = x_low + 1
    return Ranges((x_low, x_high), (low, high), log_y)


def _least_positive(line: Line) -> float:
    positive = drawable(line.y, positive=True)
    return float(np.fmin.reduce(positive, initial=np.inf))


def draw_plot(plot: Plot, width: int, height: int, *, color: bool, selected: bool = False) -> Cells:
    """A plot of `width` x `height` cells: title with legend, y axis with ticks, lines, x axis.

    Parts are left out, the axes first, where there is no room for them.
    """
    cells = Cells.blank(width, height)
    if width < 1 or height < 1:
        return cells
    ranges = ranges_of(plot)
    top = _draw_head(cells, plot, ranges, color=color, selected=selected) if height >= 3 else 0
    if ranges is None:
        cells.put(fit("no values yet", width), top + (height - top) // 2, 0, MUTED)
        return cells if color else cells.uncolored()
    with_axes = width >= 20 and height - top >= 4
    rows = height - top - (1 if with_axes else 0)
    gutter = _draw_y_axis(cells, ranges, top, rows) if with_axes else 0
    columns = width - gutter
    if with_axes:
        _draw_x_axis(cells, plot, ranges, gutter)
    cells.paste(draw_lines(plot.lines, ranges, columns, rows, color=color), top, gutter)
    return cells if color else cells.uncolored()


def draw_lines(lines: tuple[Line, ...], ranges: Ranges, width: int, height: int, *, color: bool) -> Cells:
    """The lines alone, filling `width` x `height` cells."""
    cells = Cells.blank(width, height)
    edges = column_edges(*ranges.x, 2 * width)
    dots = np.zeros((height, width), dtype=np.uint32)
    for line in reversed(lines):
        low, high = envelope(line.x, line.y, edges, log_y=ranges.log_y)
        bitmap = fill(low, high, *ranges.y, 4 * height)
        if not color:
            bitmap = _dashed(bitmap, _DASHES[line.hue % len(_DASHES)])
        bits = braille(bitmap)
        dots |= bits
        cells.fg[bits > 0] = categorical(line.hue) if color else GROUND
    cells.glyphs[dots > 0] = BRAILLE + dots[dots > 0]
    return cells


def braille(bitmap: Bitmap) -> NDArray[np.uint32]:
    """[4h, 2w] dots -> [h, w] Braille patterns (0-255)."""
    height, width = bitmap.shape[0] // 4, bitmap.shape[1] // 2
    blocks = bitmap.reshape(height, 4, width, 2)
    return np.asarray(np.einsum("hiwj,ij->hw", blocks, _DOTS, dtype=np.uint32))


def _dashed(bitmap: Bitmap, dashes: tuple[int, ...]) -> Bitmap:
    """Gaps in a thin line; columns where it rises or falls steeply stay, so that no spike is lost."""
    drawn = np.resize(np.array(dashes, dtype=bool), bitmap.shape[1])
    lone = ~np.roll(bitmap.any(axis=0), 1) | ~np.roll(bitmap.any(axis=0), -1)
    return np.asarray(bitmap & (drawn | lone | (bitmap.sum(axis=0) > 3)))


def legend_entries(plot: Plot, *, color: bool) -> list[tuple[str, int]]:
    """What the legend says of each line, and in which colour: its sign, name and newest value."""
    entries = []
    for line in plot.lines:
        known = line.y[-1000:][np.isfinite(line.y[-1000:])]
        value = number(float(known[-1])) if len(known) else "nan" if len(line.y) else "-"
        name = f"{line.name} " if line.name else ""
        if color:
            entries.append((f"━ {name}{value}", categorical(line.hue)))
        else:
            entries.append((f"{_KEYS[line.hue % len(_KEYS)]} {name}{value}", GROUND))
    return entries


def _draw_head(cells: Cells, plot: Plot, ranges: Ranges | None, *, color: bool, selected: bool) -> int:
    """Title at the left, legend at the right or in a row of its own; returns the rows used."""
    notes = [plot.unit, "log y" if ranges is not None and ranges.log_y else ""]
    if plot.log_y and ranges is not None and not ranges.log_y:
        notes[1] = "no log y: nothing is positive"
    title = ("▸ " if selected else "") + " · ".join(part for part in (plot.title, *notes) if part)
    legend = legend_entries(plot, color=color)
    length = sum(text_width(text) + 2 for text, _ in legend) - 2
    cells.put(fit(title, cells.width), 0, 0, ACCENT if selected and color else GROUND)
    if text_width(title) + 2 + length <= cells.width:
        row, column = 0, cells.width - length
    elif cells.height >= 7:
        row, column = 1, 0
    else:
        return 1
    for text, fg in legend:
        column = cells.put(fit(text, cells.width - column), row, column, fg) + 2
    return row + 1


def _draw_y_axis(cells: Cells, ranges: Ranges, top: int, rows: int) -> int:
    """Ticks and a line at the left; returns the columns used."""
    low, high = ranges.y
    count = max(min(rows // 2, 6), 2)
    if ranges.log_y:
        values = log_ticks(10.0**low, 10.0**high, count)
        places = [float(np.log10(value)) for value in values]
    else:
        values = places = linear_ticks(low, high, count)
    labels = tick_labels(values, log=ranges.log_y)
    gutter = min(max(map(text_width, labels)), cells.width // 3) + 2
    for row in range(top, top + rows):
        cells.put("│", row, gutter - 1, MUTED)
    taken: set[int] = set()
    for place, label in zip(places, labels, strict=True):
        dot = round((high - place) / (high - low) * (4 * rows - 1))
        row = top + dot // 4
        if row not in taken and top <= row < top + rows:
            taken.add(row)
            cells.put_right(fit(label, gutter - 2), row, gutter - 2, MUTED)
            cells.put("┤", row, gutter - 1, MUTED)
    return gutter


def _draw_x_axis(cells: Cells, plot: Plot, ranges: Ranges, gutter: int) -> None:
    """Ticks in the last row, each centred under its place, and what x is."""
    low, high = ranges.x
    columns, row = cells.width - gutter, cells.height - 1
    cells.put("└", row, gutter - 1, MUTED)
    ticks = linear_ticks(low, high, max(columns // 12, 2))
    labels = tick_labels(ticks)
    end = cells.width
    if plot.x_label and columns >= 24:
        end = cells.put_right(plot.x_label, row, cells.width, MUTED) - 1
    free = gutter
    for tick, label in zip(ticks, labels, strict=True):
        place = gutter + round((tick - low) / (high - low) * (2 * columns - 1)) // 2
        start = max(place - text_width(label) // 2, free)
        if start + text_width(label) <= end:
            free = cells.put(label, row, start, MUTED) + 1
