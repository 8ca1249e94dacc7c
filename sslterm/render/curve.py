"""Curves in Braille: 2x4 dots a cell, axes with round ticks, several lines, linear and logarithmic axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import SPACE, Cells, fit, text_width
from sslterm.render.envelope import column_edges, envelope, fill
from sslterm.render.legend import BEST, TIME, draw_head, head_rows, read_place
from sslterm.render.palette import GROUND, MUTED, categorical, categorical_behind
from sslterm.render.plot import Line, Plot, Ranges, ranges_of
from sslterm.render.quantity import linear_ticks, log_ticks, short, tick_labels, time_labels, time_ticks

__all__ = ["Frame", "Line", "Plot", "Ranges", "braille", "draw_lines", "draw_plot", "frame_of", "ranges_of"]

Bitmap = NDArray[np.bool_]

BRAILLE: Final = 0x2800
_DOTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint32)
_DASHES: Final = tuple(
    tuple(mark == "#" for mark in marks)
    for marks in ("#", "####..", "#..", "#####..#..", "##########....", "##..", "#.....", "###..#..#..")
)
"""Dot columns that are drawn, by line, where there is no colour to tell lines apart."""


@dataclass(frozen=True)
class Frame:
    """Where in a plot of cells its lines are: `rows` x `columns` from row `top` and column `left`."""

    top: int
    left: int
    rows: int
    columns: int
    ranges: Ranges | None

    def share_at(self, column: float) -> float:
        """Where a column of cells is on the axis of x: 0 at its left end, 1 at its right end, and within."""
        dot = 2 * (column - self.left) + 0.5
        return min(max(dot / (2 * self.columns - 1), 0.0), 1.0)

    def place_at(self, column: float) -> float | None:
        """The place on the axis of x of a column of cells; None where there is no axis."""
        if self.ranges is None:
            return None
        low, high = self.ranges.x
        place = low + self.share_at(column) * (high - low)
        return float(10.0**place) if self.ranges.log_x else place

    def column_at(self, place: float) -> int | None:
        """The column of cells of a place on the axis of x; None where it is not shown."""
        share = np.nan if self.ranges is None else self.ranges.across(place)
        return self.left + round(share * (2 * self.columns - 1)) // 2 if 0 <= share <= 1 else None

    def row_at(self, value: float) -> int | None:
        """The row of cells of a value; None where it is not shown."""
        share = np.nan if self.ranges is None else self.ranges.upwards(value)
        return self.top + round((1 - share) * (4 * self.rows - 1)) // 4 if 0 <= share <= 1 else None


def frame_of(plot: Plot, width: int, height: int) -> Frame:
    """Where the lines of a plot of `width` x `height` cells are; axes are left out where there is no room."""
    ranges = ranges_of(plot)
    top = head_rows(plot, ranges, width, height)
    if ranges is None or width < 20 or height - top < 4:
        return Frame(top, 0, max(height - top, 0), max(width, 0), ranges)
    rows = height - top - 1
    labels = [label for _, label in _y_ticks(ranges, rows)]
    left = min(max(map(text_width, labels)), width // 3) + 2
    return Frame(top, left, rows, width - left, ranges)


def draw_plot(
    plot: Plot, width: int, height: int, *, color: bool, selected: bool = False, frame: Frame | None = None
) -> Cells:
    """A plot of `width` x `height` cells: title with legend, y axis with ticks, lines, x axis.

    Parts are left out, the axes first, where there is no room for them. `frame` is what `frame_of` gives for
    it, where that is known.
    """
    cells = Cells.blank(width, height)
    if width < 1 or height < 1:
        return cells
    frame = frame or frame_of(plot, width, height)
    if height >= 3:
        draw_head(cells, plot, frame.ranges, color=color, selected=selected)
    if frame.ranges is None:
        _say(cells, "no values yet", frame)
        return cells if color else cells.uncolored()
    if frame.left:
        _draw_y_axis(cells, frame, frame.ranges)
        _draw_x_axis(cells, plot, frame, frame.ranges)
    lines = draw_lines(plot.lines, frame.ranges, frame.columns, frame.rows, color=color)
    cells.paste(lines, frame.top, frame.left)
    if not (lines.glyphs != SPACE).any():
        _say(cells, "no values here", frame)
    for line in reversed(plot.lines):
        _mark_best(cells, line, frame)
    _draw_cursor(cells, plot, frame, frame.ranges)
    return cells if color else cells.uncolored()


def _say(cells: Cells, text: str, frame: Frame) -> None:
    cells.put(fit(text, frame.columns), frame.top + frame.rows // 2, frame.left, MUTED)


def draw_lines(lines: tuple[Line, ...], ranges: Ranges, width: int, height: int, *, color: bool) -> Cells:
    """The lines alone, filling `width` x `height` cells; where they are smoothed, raw values lie behind."""
    cells = Cells.blank(width, height)
    edges = column_edges(*ranges.x, 2 * width, log=ranges.log_x)

    def bitmap(line: Line, y: NDArray[Any]) -> Bitmap:
        low, high = envelope(line.x, y, edges, log_y=ranges.log_y, log_x=ranges.log_x)
        return fill(low, high, *ranges.y, 4 * height)

    strong = []
    for line in lines:
        drawn = bitmap(line, line.strong)
        strong.append(braille(drawn if color and not line.dashed else _dashed(drawn, _dashes(line))))
    dots = np.zeros((height, width), dtype=np.uint32)
    taken = np.any([bits > 0 for bits in strong], axis=0) if strong else dots > 0
    for line, own in reversed(list(zip(lines, strong, strict=True))):
        if len(line.drawn) > 1:
            raw = bitmap(line, line.y)
            behind, ends = _woven(raw)
            bits = np.where(taken, np.where(own > 0, 0, braille(ends)), braille(behind))
            dots |= bits
            cells.fg[bits > 0] = categorical_behind(line.hue) if color else GROUND
    for line, own in reversed(list(zip(lines, strong, strict=True))):
        dots |= own
        cells.fg[own > 0] = categorical(line.hue) if color else GROUND
    cells.glyphs[dots > 0] = BRAILLE + dots[dots > 0]
    return cells


def braille(bitmap: Bitmap) -> NDArray[np.uint32]:
    """[4h, 2w] dots -> [h, w] Braille patterns (0-255)."""
    height, width = bitmap.shape[0] // 4, bitmap.shape[1] // 2
    blocks = bitmap.reshape(height, 4, width, 2)
    return np.asarray(np.einsum("hiwj,ij->hw", blocks, _DOTS, dtype=np.uint32))


def _woven(bitmap: Bitmap) -> tuple[Bitmap, Bitmap]:
    """What lies behind, in every second dot; and of that the upper and lower ends of where it is tall.

    Those ends are whole, and so is where a thin line turns, so that no spike is lost.
    """
    rows, columns = bitmap.shape
    even = (np.arange(rows)[:, None] + np.arange(columns)) % 2 == 0
    tall = bitmap.sum(axis=0) > 3
    ends = bitmap & tall & ~(_moved(bitmap, 1) & _moved(bitmap, -1))
    thin = bitmap & ~tall & (_lone(bitmap) | _turns(bitmap) | (np.arange(columns) % 2 == 0))
    return ends | thin | (bitmap & tall & even), ends


def _turns(bitmap: Bitmap) -> Bitmap:
    """[columns], where a line is above or below both its neighbours, and the outermost ones."""
    turns = np.ones(bitmap.shape[1], dtype=bool)
    up, down = np.diff(bitmap.argmax(axis=0)), np.diff(bitmap[::-1].argmax(axis=0))
    turns[1:-1] = ((up[:-1] < 0) & (up[1:] > 0)) | ((down[:-1] < 0) & (down[1:] > 0))
    return turns


def _moved(bitmap: Bitmap, rows: int) -> Bitmap:
    """`bitmap` moved down by one row, or up; what comes in is empty."""
    moved = np.zeros_like(bitmap)
    if rows > 0:
        moved[1:] = bitmap[:-1]
    else:
        moved[:-1] = bitmap[1:]
    return moved


def _dashes(line: Line) -> tuple[bool, ...]:
    return _DASHES[line.hue % len(_DASHES)]


def _dashed(bitmap: Bitmap, dashes: tuple[bool, ...]) -> Bitmap:
    """Gaps in a thin line; columns where it rises or falls steeply stay, so that no spike is lost."""
    drawn = np.resize(np.array(dashes), bitmap.shape[1])
    return np.asarray(bitmap & (drawn | _lone(bitmap) | (bitmap.sum(axis=0) > 3)))


def _lone(bitmap: Bitmap) -> Bitmap:
    """[columns], where a column has an empty one beside it."""
    some = bitmap.any(axis=0)
    return np.asarray(~np.roll(some, 1) | ~np.roll(some, -1))


def _mark_best(cells: Cells, line: Line, frame: Frame) -> None:
    """The sign of the best value on its place, where that is shown."""
    at = line.best_point()
    if at is not None and line.best is not None:
        _put_at(cells, BEST[line.best], line, (line.x[at], line.y[at]), frame)


def _put_at(cells: Cells, sign: str, line: Line, place: tuple[float, float], frame: Frame) -> None:
    column, row = frame.column_at(float(place[0])), frame.row_at(float(place[1]))
    if column is not None and row is not None:
        cells.put(sign, row, column, categorical(line.hue))


def _draw_cursor(cells: Cells, plot: Plot, frame: Frame, ranges: Ranges) -> None:
    """A vertical rule through empty cells, and a dot on every line at the point that is read."""
    place = read_place(plot, ranges)
    column = None if place is None else frame.column_at(place)
    if place is None or column is None:
        return
    for row in range(frame.top, frame.top + frame.rows):
        if cells.glyphs[row, column] == SPACE:
            cells.put("│", row, column, MUTED)
    for line in reversed(plot.lines):
        at = line.read_at(place, log_x=ranges.log_x)
        if at is not None and not line.level:
            _put_at(cells, "●", line, (line.x[at], line.strong[at]), frame)


def _y_ticks(ranges: Ranges, rows: int) -> list[tuple[float, str]]:
    """Places on the axis of y as it is scaled, with their names."""
    low, high = ranges.y
    count = max(min(rows // 2, 6), 2)
    if not ranges.log_y:
        ticks = linear_ticks(low, high, count)
        return list(zip(ticks, tick_labels(ticks), strict=True))
    ticks = log_ticks(10.0**low, 10.0**high, count)
    return [(float(np.log10(t)), name) for t, name in zip(ticks, tick_labels(ticks, log=True), strict=True)]


def _draw_y_axis(cells: Cells, frame: Frame, ranges: Ranges) -> None:
    """Ticks and a line at the left."""
    low, high = ranges.y
    for row in range(frame.top, frame.top + frame.rows):
        cells.put("│", row, frame.left - 1, MUTED)
    taken: set[int] = set()
    for place, label in _y_ticks(ranges, frame.rows):
        dot = round((high - place) / (high - low) * (4 * frame.rows - 1))
        row = frame.top + dot // 4
        if row not in taken and frame.top <= row < frame.top + frame.rows:
            taken.add(row)
            cells.put_right(fit(label, frame.left - 2), row, frame.left - 2, MUTED)
            cells.put("┤", row, frame.left - 1, MUTED)


def x_ticks(ranges: Ranges, count: int, *, time: bool = False) -> list[tuple[float, str]]:
    """Places on the axis of x as it is scaled, with their names; seconds as times, where it is of `time`."""
    low, high = ranges.x
    if ranges.points:
        step = -(
            -len(ranges.points) // max(count, 1)
        )  # the last is always named, and every so many before it
        named = enumerate(ranges.points)
        return [(float(n), name) for n, name in named if (len(ranges.points) - 1 - n) % step == 0]
    if ranges.log_x:
        ticks = log_ticks(10.0**low, 10.0**high, count)
        return [(float(np.log10(t)), f"{short(t)} s" if time else short(t)) for t in ticks]
    ticks = time_ticks(low, high, count) if time else linear_ticks(low, high, count)
    return list(zip(ticks, time_labels(ticks) if time else tick_labels(ticks), strict=True))


def _draw_x_axis(cells: Cells, plot: Plot, frame: Frame, ranges: Ranges) -> None:
    """Ticks in the last row, each centred under its place, and what x is."""
    low, high = ranges.x
    columns, row = frame.columns, cells.height - 1
    cells.put("└", row, frame.left - 1, MUTED)
    end = cells.width
    if plot.x_label and columns >= 24:
        end = cells.put_right(plot.x_label, row, cells.width, MUTED) - 1
    free = frame.left
    for tick, label in x_ticks(ranges, max(columns // 12, 3), time=plot.x_label == TIME):
        place = frame.left + round((tick - low) / (high - low) * (2 * columns - 1)) // 2
        start = place - text_width(label) // 2
        start = max(min(start, end - text_width(label)) if ranges.points else start, free)
        if start + text_width(label) <= end:
            free = cells.put(label, row, start, MUTED) + 1
