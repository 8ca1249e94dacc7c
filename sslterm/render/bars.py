"""Bars in eighths of a cell: lying, with names and values, or standing where there are too many to name.

A cursor reads one of them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.cursor import Mark, Reading, Spot
from sslterm.render.palette import GROUND, MUTED, categorical
from sslterm.render.quantity import column, number
from sslterm.run.panels import Panel

_LYING: Final = np.array([ord(glyph) for glyph in " ▏▎▍▌▋▊▉█"], dtype=np.uint32)
_STANDING: Final = np.array([ord(glyph) for glyph in " ▁▂▃▄▅▆▇█"], dtype=np.uint32)


def bar_range(panel: Panel) -> tuple[float, float]:
    """The range that bars are drawn over: the panel's own low and high, or what holds all values and 0."""
    finite = panel.array[np.isfinite(panel.array)]
    low = min(float(finite.min()) if finite.size else 0.0, 0.0) if panel.low is None else panel.low
    high = max(float(finite.max()) if finite.size else 1.0, 0.0) if panel.high is None else panel.high
    return (low, high) if high > low else (low, low + 1.0)


def bar_names(panel: Panel) -> list[str]:
    """The names of the bars, numbered from 0 where there are none."""
    return [panel.labels[i] if i < len(panel.labels) else str(i) for i in range(len(panel.array))]


def sparkline(values: NDArray[Any], width: int) -> str:
    """The course of `values` in at most `width` cells, from their least (▁) to their greatest (█)."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite) or width < 1:
        return ""
    if len(finite) > width:
        finite = finite[np.linspace(0, len(finite) - 1, width).round().astype(np.intp)]
    low, high = finite.min(), finite.max()
    level = np.rint((finite - low) / ((high - low) or 1.0) * 7).astype(np.intp) + 1
    return "".join(chr(code) for code in _STANDING[level])


def draw_bars(panel: Panel, width: int, height: int, *, color: bool) -> tuple[Cells, str]:
    """A bar panel within `width` x `height` cells, and how bars were pooled."""
    if width < 1 or height < 1 or not len(panel.array):
        return Cells.blank(width, height), "" if len(panel.array) else "no bars"
    if len(panel.array) <= height:
        return _draw_lying(panel, width, height, color=color), ""
    return _draw_standing(panel, width, height, color=color)


def _draw_lying(panel: Panel, width: int, height: int, *, color: bool) -> Cells:
    cells = Cells.blank(width, height)
    names, values = bar_names(panel), _values(panel)
    name_width = _name_width(names, width)
    value_width = min(max(map(text_width, values)), width // 3)
    room = width - name_width - value_width - 2
    for row, (name, value, size) in enumerate(zip(names, values, panel.array, strict=True)):
        cells.put_right(fit(name, name_width), row, name_width)
        cells.put_right(fit(value, value_width), row, width, MUTED)
        if room > 0 and np.isfinite(size):
            _draw_bar(cells, row, name_width + 1, room, float(size), bar_range(panel), color=color)
    return cells


def _draw_bar(
    cells: Cells, row: int, left: int, room: int, size: float, span: tuple[float, float], *, color: bool
) -> None:
    """One lying bar from the place of 0 to that of `size`, within `room` cells from column `left`."""
    low, high = span
    zero, end = (np.clip((v - low) / (high - low), 0, 1) * room * 8 for v in (0.0, size))
    fg = categorical(0 if size >= 0 else 1) if color else GROUND
    if size >= 0:
        start = round(zero / 8)
        eighths = max(round(end) - 8 * start, 1 if size > 0 else 0)
        filled = np.clip(eighths - 8 * np.arange(room - start), 0, 8)
        cells.glyphs[row, left + start : left + room] = _LYING[filled]
    else:
        start = min(round(end / 8), max(round(zero / 8) - 1, 0))
        cells.glyphs[row, left + start : left + round(zero / 8)] = _LYING[8]
    cells.fg[row, left : left + room] = fg


def _draw_standing(panel: Panel, width: int, height: int, *, color: bool) -> tuple[Cells, str]:
    """Bars too many to name: one or more of them a column (their largest), range and numbers beside them."""
    cells = Cells.blank(width, height)
    low, high = bar_range(panel)
    marks = [number(high, 3), number(low, 3)]
    gutter, each, wide = _standing(panel, width)
    rows = height - 1 if height >= 4 else height
    tops = np.fmax.reduceat(panel.array, np.arange(0, len(panel.array), each))
    tops = tops.repeat(wide)
    share = np.clip((np.nan_to_num(tops, nan=low) - low) / (high - low), 0, 1)
    eighths = np.rint(share * rows * 8).astype(np.intp)
    filled = np.clip(eighths[None, :] - 8 * np.arange(rows - 1, -1, -1)[:, None], 0, 8)
    cells.glyphs[:rows, gutter : gutter + len(tops)] = _STANDING[filled]
    cells.fg[:rows, gutter:] = categorical(0) if color else GROUND
    if gutter:
        cells.put_right(marks[0], 0, gutter - 1, MUTED)
        cells.put_right(marks[1], rows - 1, gutter - 1, MUTED)
    if rows < height:
        cells.put("0", rows, gutter, MUTED)
        cells.put_right(f"{len(panel.array) - 1:,}", rows, min(gutter + len(tops), width), MUTED)
    return cells, f"largest of {each} a column" if each > 1 else ""


def _values(panel: Panel) -> list[str]:
    return column([float(value) for value in panel.array])


def _name_width(names: list[str], width: int) -> int:
    return min(max(map(text_width, names)), width // 3)


def _standing(panel: Panel, width: int) -> tuple[int, int, int]:
    """Of standing bars: columns before the first, bars a column of the picture, and its width in cells."""
    marks = [number(value, 3) for value in bar_range(panel)]
    gutter = max(map(text_width, marks)) + 1 if width >= 20 else 0
    each = -(-len(panel.array) // (width - gutter))
    return gutter, each, max((width - gutter) // -(-len(panel.array) // each), 1)


def locate_bar(panel: Panel, width: int, height: int, row: int, at: int) -> Spot | None:
    """The bar in a row of the picture, or in a column where they stand."""
    if width < 1 or height < 1:
        return None
    if len(panel.array) <= height:
        return Spot(0, row) if 0 <= row < len(panel.array) else None
    gutter, each, wide = _standing(panel, width)
    index = (at - gutter) // wide * each
    return Spot(0, index) if 0 <= index < len(panel.array) else None


def move_bar(panel: Panel, width: int, height: int, spot: Spot, dx: int, dy: int) -> Spot:
    """Bars further; where several share a column, to the next column."""
    if width < 1 or height < 1 or not len(panel.array):
        return spot
    each = 1 if len(panel.array) <= height else _standing(panel, width)[1]
    last = (len(panel.array) - 1) // each
    return Spot(0, min(max(spot.column // each + dx + dy, 0), last) * each)


def read_bar(panel: Panel, width: int, height: int, spot: Spot) -> Reading | None:
    """The name and the value of a bar; of several in one column the largest."""
    if width < 1 or height < 1 or not spot.column < len(panel.array):
        return None
    unit = f" {panel.y_label}" if panel.y_label else ""
    names = bar_names(panel)
    if len(panel.array) <= height:
        mark = Mark("name", 2 * spot.column, 0, 2 * spot.column + 2, _name_width(names, width) + 1)
        value = number(float(panel.array[spot.column]))
        return Reading(spot, f"{names[spot.column]}: {value}{unit}", mark)
    gutter, each, wide = _standing(panel, width)
    first = spot.column // each * each
    several = panel.array[first : first + each]
    index = first + (int(np.nanargmax(several)) if np.isfinite(several).any() else 0)
    text = f"{names[index]}: {number(float(panel.array[index]))}{unit}"
    if len(several) > 1:
        text += f" · largest of {first}–{first + len(several) - 1}"
    left = gutter + first // each * wide + (wide - 1) // 2
    rows = height - 1 if height >= 4 else height
    return Reading(spot, text, Mark("line", 0, left, 2 * rows, left + 1))
