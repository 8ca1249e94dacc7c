"""The head of a plot: its title, and what is read off its lines, in the room that there is."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import ACCENT, GROUND, MUTED, categorical
from sslterm.render.plot import Line, Plot, Ranges
from sslterm.render.quantity import duration, number, whole

KEYS: Final = ("━", "╍", "┅", "┄", "╌", "┉", "┈", "╶")
"""The sign of a line in the legend, by its dashes."""
BEST: Final = {"min": "▾", "max": "▴"}
"""What marks the best value, on the line and in the legend."""
SELECTED: Final = "▸ "
TIME: Final = "time"
"""Label of an axis of times, which are in seconds."""

_GAP: Final = 2
_ROUNDING: Final = 1e-9
"""Share of the axis by which a cursor at its end may seem to lie beyond."""
_ROWS_OF_A_ROW: Final = 8
"""Rows of a plot for each row that its legend may have."""

Entry = tuple[str, int]
"""A text and its colour."""


def place_name(plot: Plot, place: float) -> str:
    """A place on the axis as people say it: "step 3,120", "epoch 3.12", "1 m 14 s"."""
    if plot.x_label == TIME:
        return duration(place) if place >= 60 else f"{number(place, 3)} s"
    text = whole(place) if place == int(place) else number(place)
    return f"{plot.x_label} {text}" if plot.x_label else text


def read_place(plot: Plot, ranges: Ranges) -> float | None:
    """The place that the cursor reads: that of the nearest point of all; None where there is no cursor."""
    if plot.cursor is None or not -_ROUNDING <= ranges.across(plot.cursor) <= 1 + _ROUNDING:
        return None
    cursor, log = plot.cursor, ranges.log_x
    points = ((line, line.nearest_point(cursor, log_x=log)) for line in plot.lines)
    places = [(float(line.x[at]), line.level) for line, at in points if at is not None]
    moments = [place for place, level in places if not level] or [cursor for _ in places]
    return min(moments, key=lambda place: abs(place - cursor), default=None)


def newest(line: Line) -> float | None:
    """The last finite value, NaN where there is none, None of an empty line."""
    last = line.y[-1000:]
    known = last[np.isfinite(last)]
    return float(known[-1]) if len(known) else float("nan") if len(line.y) else None


def legend_entries(plot: Plot, ranges: Ranges | None, *, color: bool, detail: int) -> list[Entry]:
    """What the legend says of each line, and in which colour: its sign, name and value.

    The value is the newest, or the one at the cursor, before which its place is said. The more `detail`: 0
    leaves out names, 2 adds the best value, and at the cursor the smoothed one. All but that are as they were measured.
    """
    place = None if ranges is None else read_place(plot, ranges)
    entries = [] if place is None else [(place_name(plot, place), GROUND)]
    for line in plot.lines:
        sign = KEYS[line.hue % len(KEYS)] if line.dashed or not color else KEYS[0]
        if place is not None and ranges is not None:
            value = _value_at(line, place, ranges, smooth=detail >= 2)
        else:
            last = newest(line)
            value = "-" if last is None else number(last)
            best = line.best_point() if detail >= 2 else None
            if line.best is not None and best is not None:
                value += f" {BEST[line.best]}{number(float(line.y[best]))}"
        name = f"{line.name} " if line.name and detail else ""
        entries.append((f"{sign} {name}{value}", categorical(line.hue) if color else GROUND))
    return entries


def _value_at(line: Line, place: float, ranges: Ranges, *, smooth: bool) -> str:
    at = line.read_at(place, log_x=ranges.log_x)
    if at is None:
        return "-"
    value = number(float(line.y[at]))
    return f"{value} ~{number(float(line.smooth[at]))}" if smooth and line.smooth is not None else value


def title_of_plot(plot: Plot, ranges: Ranges | None) -> str:
    """Title, unit and how the plot is drawn."""
    notes = [plot.unit, *plot.notes]
    for wanted, has, axis in (
        (plot.log_y, ranges is not None and ranges.log_y, "y"),
        (plot.log_x, ranges is not None and ranges.log_x, "x"),
    ):
        if wanted and ranges is not None:
            notes.append(f"log {axis}" if has else f"no log {axis}: nothing is positive")
    return " · ".join(part for part in (plot.title, *notes) if part)


def head_rows(plot: Plot, ranges: Ranges | None, width: int, height: int) -> int:
    """Rows that the head takes; neither a cursor nor being selected changes it."""
    if height < 3:
        return 0
    entries = legend_entries(_without_cursor(plot), ranges, color=True, detail=1)
    if text_width(SELECTED + title_of_plot(plot, ranges)) + _GAP + _length(entries) <= width:
        return 1
    most = max(height // _ROWS_OF_A_ROW, 1)
    return 1 + min(len(_wrapped(entries, width)), most) if height >= 7 else 1


def _without_cursor(plot: Plot) -> Plot:
    return replace(plot, cursor=None)


def _length(entries: list[Entry]) -> int:
    return sum(text_width(text) + _GAP for text, _ in entries) - _GAP


def _wrapped(entries: list[Entry], width: int) -> list[list[Entry]]:
    """Entries in rows of at most `width` cells, as far as each fits at all."""
    rows: list[list[Entry]] = []
    for entry in entries:
        if rows and _length([*rows[-1], entry]) <= width:
            rows[-1].append(entry)
        else:
            rows.append([entry])
    return rows


def draw_head(cells: Cells, plot: Plot, ranges: Ranges | None, *, color: bool, selected: bool) -> None:
    """Title at the left, legend at the right of it, in rows below, or in both; the cursor's may cut the title."""
    rows = head_rows(plot, ranges, cells.width, cells.height)
    title = (SELECTED if selected else "") + title_of_plot(plot, ranges)
    at_cursor = ranges is not None and read_place(plot, ranges) is not None
    tint = ACCENT if selected and color else GROUND
    levels = [legend_entries(plot, ranges, color=color, detail=detail) for detail in (2, 1, 0)]
    if rows > 1:
        cells.put(fit(title, cells.width), 0, 0, tint)
        beside = cells.width - text_width(title) - _GAP
        first, *others = _fitting(levels[: 3 if at_cursor else 2], cells.width, rows - 1, beside)
        _put(cells, first, 0, cells.width - _length(first))
        for row, part in enumerate(others, 1):
            _put(cells, part, row, 0)
        return
    kept = min(text_width(title), cells.width // 4) if at_cursor else text_width(title)
    room = cells.width - kept - _GAP
    chosen = next((entries for entries in levels[: 3 if at_cursor else 2] if _length(entries) <= room), None)
    if chosen is None and at_cursor:
        chosen = levels[-1]
    start = cells.width - _length(chosen) if chosen else cells.width + _GAP
    cells.put(fit(title, max(start - _GAP, 0)), 0, 0, tint)
    if chosen:
        _put(cells, chosen, 0, max(start, 0))


def _fitting(levels: list[list[Entry]], width: int, rows: int, beside: int) -> list[list[Entry]]:
    """The most detailed level that fits into the rows, with what fits `beside` the title where it must be there.

    The first row is the one beside the title. Where no level fits, it is of the least detailed what does.
    """
    wrapped = [_wrapped(entries, width) for entries in levels]
    for level in wrapped:
        if len(level) <= rows:
            return [[], *level]
    for entries in levels:
        count = next((n for n in range(len(entries), 0, -1) if _length(entries[:n]) <= beside), 0)
        below = _wrapped(entries[count:], width)
        if len(below) <= rows:
            return [entries[:count], *below]
    least = levels[-1]
    *first, last = wrapped[-1][:rows]
    shown = sum(map(len, first))
    cut = [*last]
    while cut and _length([*cut, ("", 0)]) + len(f"+{len(least) - shown - len(cut)}") > width:
        cut.pop()
    return [[], *first, [*cut, (f"+{len(least) - shown - len(cut)}", MUTED)]]


def _put(cells: Cells, entries: list[Entry], row: int, column: int) -> None:
    for text, fg in entries:
        column = cells.put(fit(text, cells.width - column), row, column, fg) + _GAP
