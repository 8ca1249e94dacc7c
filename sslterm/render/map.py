"""A map of points with one of them marked, and some more: a scatter plot to move in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import ACCENT, GROUND, categorical
from sslterm.render.scatter import draw_scatter, spans
from sslterm.run.packed import unpack
from sslterm.run.panels import Panel

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LEGEND_FROM = 5
"""Rows from which `draw_scatter` has a legend in the last one."""


def dots_of(points: NDArray[Any], width: int, rows: int) -> NDArray[np.float64]:
    """Where `draw_map` puts points [N, 2], in Braille dots: [N, 2], x to the right, y downwards.

    A cell has two dots across and four down, which lie about as far apart both ways.
    """
    (x_low, x_high), (y_low, y_high) = spans(points)
    across = (points[:, 0] - x_low) / (x_high - x_low) * max(2 * width - 1, 1)
    down = (y_high - points[:, 1]) / (y_high - y_low) * max(4 * rows - 1, 1)
    return np.stack([across, down], axis=1)


def map_panel(answer: Mapping[str, Any]) -> Panel:
    """The map that a worker's answer to "embed" holds; what is no number is 0."""
    points = np.nan_to_num(unpack(answer["points"]), nan=0.0, posinf=0.0, neginf=0.0)
    labels = answer["labels"]
    if labels is not None:
        points = np.concatenate([points, np.array(labels, dtype=np.float32)[:, None]], axis=1)
    return Panel(
        name="embedding-map", kind="scatter", array=points, caption=str(answer["caption"]),
        labels=tuple(answer["class_names"]) if labels is not None else (),
        x_label=str(answer["x_label"]), y_label=str(answer["y_label"]),
    )  # fmt: skip


def legend_of(names: Mapping[int, str], width: int, *, color: bool) -> list[list[tuple[str, int]]]:
    """Lines of (text, class), the signs and names of classes as in `draw_scatter`, in as many lines as they need."""
    lines: list[list[tuple[str, int]]] = []
    column = width + 1
    for kind, name in names.items():
        sign = "●" if color else _DIGITS[kind % len(_DIGITS)]
        entry = fit(f"{sign} {name}" if color or sign != name else sign, width)
        if column + text_width(entry) > width:
            lines.append([])
            column = 0
        lines[-1].append((entry, kind))
        column += text_width(entry) + 2
    return lines


def draw_legend(lines: Sequence[Sequence[tuple[str, int]]], width: int, *, color: bool) -> Cells:
    cells = Cells.blank(width, len(lines))
    for row, line in enumerate(lines):
        column = 0
        for entry, kind in line:
            column = cells.put(entry, row, column, categorical(kind) if color else GROUND) + 2
    return cells


def draw_map(
    panel: Panel, width: int, height: int, *, color: bool, marked: int | None, near: Sequence[int] = ()
) -> Cells:
    """A scatter panel of finite points without its legend; `marked` under cross-hairs, those `near` it as circles."""
    cells = Cells.blank(width, height)
    with_legend = panel.array.shape[1] > 2 and height + 1 >= _LEGEND_FROM
    cells.paste(draw_scatter(panel, width, height + with_legend, color=color)[0], 0, 0)
    if marked is None or width < 3 or height < 3:
        return cells
    dots = np.rint(dots_of(panel.array[:, :2], width, height)).astype(int)
    tint = ACCENT if color else GROUND
    for place in near:
        cells.put("○", int(dots[place, 1]) // 4, int(dots[place, 0]) // 2, tint)
    row, column = int(dots[marked, 1]) // 4, int(dots[marked, 0]) // 2
    for glyph, down, across in (
        ("╶", 0, -2),
        ("─", 0, -1),
        ("─", 0, 1),
        ("╴", 0, 2),
        ("│", -1, 0),
        ("│", 1, 0),
    ):
        if 0 <= column + across < width:
            cells.put(glyph, row + down, column + across, tint)
    cells.put("◆", row, column, tint)
    return cells
