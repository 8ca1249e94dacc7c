"""The cursor over a grid of images, and one image enlarged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from sslterm.render.cursor import Mark, Reading, Spot
from sslterm.render.image import Grid, columns_of, plan
from sslterm.render.palette import ACCENT
from sslterm.run.panels import Panel

PAIRS: Final[Mapping[str, tuple[str, str]]] = {
    "reconstructions": ("image", "reconstruction"),
    "views": ("view a", "view b"),
}
"""Panels whose images 2n and 2n + 1 belong together, and what the two are."""


def locate_image(panel: Panel, width: int, height: int, row: int, column: int) -> Spot | None:
    """The image under a cell of the picture."""
    if not _has_room(panel, width, height):
        return None
    grid = plan(panel, width, 2 * height)
    down, across = 2 * row // (grid.tile_height + grid.gap), column // (grid.tile_width + grid.gap)
    if not (0 <= down < grid.index.shape[0] and 0 <= across < grid.index.shape[1]):
        return None
    number = int(grid.index[down, across])
    return Spot(0, number) if number >= 0 else None


def move_image(panel: Panel, width: int, height: int, spot: Spot, dx: int, dy: int) -> Spot:
    """`dx` images to the right and `dy` down, as far as they are shown."""
    if not _has_room(panel, width, height):
        return spot
    grid = plan(panel, width, 2 * height)
    place = _place(grid, spot.column)
    if place is None:
        return Spot(0, int(grid.index[0, 0]))
    down = min(max(place[0] + dy, 0), grid.index.shape[0] - 1)
    across = min(max(place[1] + dx, 0), grid.index.shape[1] - 1)
    number = int(grid.index[down, across])
    return Spot(0, number) if number >= 0 else spot


def read_image(panel: Panel, width: int, height: int, spot: Spot) -> Reading | None:
    """Which image it is: its number from 1, its pair, or its place in the plane with the names there are."""
    if not spot.column < len(panel.array):
        return None
    place = _place(plan(panel, width, 2 * height), spot.column) if _has_room(panel, width, height) else None
    mark = None
    if place is not None:
        grid = plan(panel, width, 2 * height)
        top, left = place[0] * (grid.tile_height + grid.gap), place[1] * (grid.tile_width + grid.gap)
        mark = Mark("frame", top, left, top + grid.tile_height, left + grid.tile_width, tint=ACCENT)
    return Reading(spot, name_of(panel, spot.column), mark)


def name_of(panel: Panel, index: int) -> str:
    """What image `index` is: "image 13 of 64", "pair 7 of 32: reconstruction", "z3, +1 sd (image 13 of 64)"."""
    count = len(panel.array)
    number = f"image {index + 1} of {count}"
    if panel.name in PAIRS and count % 2 == 0:
        return f"pair {index // 2 + 1} of {count // 2}: {PAIRS[panel.name][index % 2]}"
    columns = columns_of(panel)
    row, column = divmod(index, columns)
    column_name = panel.labels[column] if column < len(panel.labels) else ""
    if not column_name and not panel.x_label and not panel.y_label:
        return number
    rows = row_names(panel)
    across = column_name or f"column {column + 1} of {columns}"
    down = rows[row] if rows else f"row {row + 1} of {-(-count // columns)}"
    axes = " · ".join(label for label in (panel.x_label, panel.y_label) if label and not rows)
    return f"{down}, {across} ({number})" + (f" · {axes}" if axes else "")


def row_names(panel: Panel) -> tuple[str, ...]:
    """Names of the rows of a traversal, which its caption lists: "rows: z3, z1, by"; () where it does not."""
    found = re.search(r"\brows: (.+?), by ", panel.caption)
    names = tuple(found[1].split(", ")) if found else ()
    return names if len(names) == -(-len(panel.array) // columns_of(panel)) else ()


def close_up(panel: Panel, spot: Spot | None) -> Panel:
    """A panel of the one image at `spot` (the first, without one), or of both of its pair."""
    index = spot.column if spot is not None and spot.column < len(panel.array) else 0
    paired = panel.name in PAIRS and len(panel.array) % 2 == 0
    first, count = (index - index % 2, 2) if paired else (index, 1)
    caption = name_of(panel, index)
    if paired:
        caption = f"{caption.partition(':')[0]}: {' · '.join(PAIRS[panel.name])}"
    array = panel.array[first : first + count]
    return replace(panel, array=array, columns=count, labels=(), caption=caption, x_label="", y_label="")


def _has_room(panel: Panel, width: int, height: int) -> bool:
    return width >= 1 and height >= 1 and bool(panel.array.size)


def _place(grid: Grid, number: int) -> tuple[int, int] | None:
    """Row and column of an image in the grid; of the nearest before it where it is left out."""
    shown = np.where(grid.index < 0, -1, grid.index)
    before = np.where((shown >= 0) & (shown <= number), shown, -1)
    if before.max() < 0:
        return None
    down, across = np.unravel_index(int(before.argmax()), before.shape)
    return int(down), int(across)
