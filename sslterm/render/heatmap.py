"""Matrices as heatmaps: pooled to the pixels there are, and saying so, with a colour bar and a cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells, text_width
from sslterm.render.cursor import Mark, Reading, Spot
from sslterm.render.halfblock import half_blocks, merge_runs, shade
from sslterm.render.palette import LEVELS, MUTED, map_colors, shares
from sslterm.render.quantity import number
from sslterm.run.panels import Panel

Matrix = NDArray[Any]

MOST_NAMED: Final = 40
"""Columns up to which the labels of a matrix are taken as their names."""
_RUNS: Final = 1400
"""Runs of equal cells that a picture may have before it gets fewer colours: about 40 bytes each."""
_RUNS_A_CELL: Final = 0.3
"""The same for very large pictures."""
_COARSER: Final = (21, 15, 11, 9, 7, 5, 3)
"""Colours to try after all of them: odd, so that the centre stays one."""


def block_of(shape: tuple[int, ...], rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of a block with which a matrix of `shape` fits `rows` x `columns`.

    Blocks are square unless the matrix is long.
    """
    tall = max(-(-shape[0] // max(rows, 1)), 1)
    wide = max(-(-shape[1] // max(columns, 1)), 1)
    if max(shape) <= 3 * min(shape):
        tall = wide = max(tall, wide)
    return tall, wide


@dataclass(frozen=True)
class Layout:
    """A matrix in a picture: blocks of `tall` x `wide` values, each `zoom` pixels wide and high.

    A pixel is a column wide and half a row high.

    Attributes:
        share: [rows, columns] of the blocks, as shares of the range from `low` to `high`.
        note: how they were pooled.
        bar: the column of the colour bar; None: there is none.
    """

    tall: int
    wide: int
    zoom: int
    share: Matrix
    low: float
    high: float
    note: str
    bar: int | None

    def mark(self, spot: Spot) -> Mark:
        top, left = spot.row // self.tall * self.zoom, spot.column // self.wide * self.zoom
        return Mark("frame", top, left, top + self.zoom, left + self.zoom)


def lay_out(panel: Panel, width: int, height: int) -> Layout | None:
    """The layout within `width` x `height` cells, with a colour bar where there is room; None: nothing to draw."""
    if width < 1 or height < 1 or not panel.array.size:
        return None
    share, low, high = shares(panel.array, low=panel.low, high=panel.high, center=panel.center)
    center = None if panel.center is None else 0.5
    bar_width = 3 + max(map(text_width, _bar_marks(low, high, height, diverging=center is not None).values()))
    with_bar = width >= 24 and height >= 3
    room = width - (bar_width if with_bar else 0)
    tall, wide = block_of(panel.array.shape, 2 * height, room)
    pooled, note = pool_blocks(share, tall, wide, center=center)
    zoom = max(min(room // pooled.shape[1], 2 * height // pooled.shape[0]), 1)
    bar = min(pooled.shape[1] * zoom, room) + 1 if with_bar else None
    return Layout(tall, wide, zoom, pooled, low, high, note, bar)


def most_runs(width: int, height: int) -> int:
    """Runs of equal cells that a picture may have, so that it is sent in about 60 KB; more on large screens."""
    return max(_RUNS, int(_RUNS_A_CELL * width * height))


def pool(matrix: Matrix, rows: int, columns: int, *, center: float | None) -> tuple[Matrix, str]:
    """Blocks of `matrix` so that it fits `rows` x `columns`, and what a value then is ("mean of 4x4").

    Around a `center`, a block shows the value farthest from it: a diagonal or a single strong entry survives,
    where a mean would drown it. Without one, a block shows its mean. NaN are left out. Blocks are square
    unless the matrix is long; blocks at the lower and right edge may be smaller.
    """
    return pool_blocks(matrix, *block_of(matrix.shape, rows, columns), center=center)


def pool_blocks(matrix: Matrix, tall: int, wide: int, *, center: float | None) -> tuple[Matrix, str]:
    """The same for blocks of `tall` x `wide`."""
    if tall == wide == 1:
        return matrix, ""
    starts = np.arange(0, matrix.shape[0], tall), np.arange(0, matrix.shape[1], wide)
    if center is not None:
        most = _reduce(np.fmax, matrix, *starts)
        least = _reduce(np.fmin, matrix, *starts)
        return np.where(most - center >= center - least, most, least), f"strongest of {tall}x{wide}"
    known = np.isfinite(matrix)
    total = _reduce(np.add, np.where(known, matrix, 0.0).astype(np.float64), *starts)
    count = _reduce(np.add, known.astype(np.float64), *starts)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean, f"mean of {tall}x{wide}"


def _reduce(operation: np.ufunc, matrix: Matrix, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Matrix:
    pooled: Matrix = operation.reduceat(operation.reduceat(matrix, rows, axis=0), columns, axis=1)
    return pooled


def draw_matrix(panel: Panel, width: int, height: int, *, color: bool) -> tuple[Cells, str]:
    """A matrix panel within `width` x `height` cells, and how it was pooled."""
    cells, layout = Cells.blank(width, height), lay_out(panel, width, height)
    if layout is None:
        return cells, ""
    diverging = panel.center is not None
    if color:
        picture = _colored(layout.share, layout.zoom, diverging=diverging, most=most_runs(width, height))
    else:
        zoomed = layout.share.repeat(layout.zoom, axis=0).repeat(layout.zoom, axis=1)
        picture = _signs(zoomed, diverging=diverging)
    cells.paste(picture, 0, 0)
    if layout.bar is not None:
        shown = max(min(picture.height, height), 3)
        bar = _color_bar(layout.low, layout.high, shown, diverging=diverging, color=color)
        cells.paste(bar, 0, layout.bar)
    return cells, layout.note


def _colored(share: Matrix, zoom: int, *, diverging: bool, most: int) -> Cells:
    """Shares as half-blocks, in as many colours as leave at most `most` runs of equal cells; at least three."""
    for levels in (LEVELS, *_COARSER):
        steps = 0.5 + np.round((share - 0.5) * (levels - 1)) / (levels - 1)  # the centre is one of them
        pixels = map_colors(steps.repeat(zoom, axis=0).repeat(zoom, axis=1), diverging=diverging)
        picture = merge_runs(half_blocks(pixels))
        if _runs(picture) <= most:
            break
    return picture


def _runs(cells: Cells) -> int:
    """Runs of equal colours."""
    changes = (cells.fg[:, 1:] != cells.fg[:, :-1]) | (cells.bg[:, 1:] != cells.bg[:, :-1])
    return cells.height + int(changes.sum())


def locate_matrix(panel: Panel, width: int, height: int, row: int, column: int) -> Spot | None:
    """The value under a cell of the picture: the upper one of two, the first of a block."""
    layout = lay_out(panel, width, height)
    if layout is None:
        return None
    block_row, block_column = 2 * row // layout.zoom, column // layout.zoom
    if not (0 <= block_row < layout.share.shape[0] and 0 <= block_column < layout.share.shape[1]):
        return None
    return Spot(block_row * layout.tall, block_column * layout.wide)


def move_matrix(panel: Panel, width: int, height: int, spot: Spot, dx: int, dy: int) -> Spot:
    """`dx` blocks to the right and `dy` down, as far as there are any."""
    layout = lay_out(panel, width, height)
    if layout is None:
        return spot
    row = min(max(spot.row // layout.tall + dy, 0), layout.share.shape[0] - 1)
    column = min(max(spot.column // layout.wide + dx, 0), layout.share.shape[1] - 1)
    return Spot(row * layout.tall, column * layout.wide)


def read_matrix(panel: Panel, width: int, height: int, spot: Spot) -> Reading | None:
    """(i, j) and the value there; of a block the strongest value and where it is, or the mean."""
    layout = lay_out(panel, width, height)
    if layout is None or not (spot.row < panel.array.shape[0] and spot.column < panel.array.shape[1]):
        return None
    top, left = spot.row // layout.tall * layout.tall, spot.column // layout.wide * layout.wide
    block = panel.array[top : top + layout.tall, left : left + layout.wide].astype(np.float64)
    mark = layout.mark(spot)
    axes = [f"row: {panel.y_label}" * bool(panel.y_label), f"column: {panel.x_label}" * bool(panel.x_label)]
    known = np.isfinite(block)
    within = f"rows {_from_to(top, block.shape[0])}, columns {_from_to(left, block.shape[1])}"
    if layout.tall == layout.wide == 1:
        parts = [f"({_row_name(panel, top)}, {_column_name(panel, left)}) {number(float(block[0, 0]), 3)}"]
    elif panel.center is not None:
        distance = np.where(np.isnan(block), -1.0, np.abs(block - panel.center))
        i, j = np.unravel_index(int(distance.argmax()), block.shape)
        parts = [f"({top + i}, {left + j}) {number(float(block[i, j]), 3)}"]
        parts.append(f"strongest of {layout.tall}x{layout.wide} in {within}")
    else:
        mean = float(block[known].mean()) if known.any() else float("nan")
        parts = [f"{within}: {number(mean, 3)}", f"mean of {layout.tall}x{layout.wide}"]
    return Reading(spot, " · ".join(part for part in (*parts, *axes) if part), mark)


def _from_to(first: int, count: int) -> str:
    return f"{first}" if count == 1 else f"{first}–{first + count - 1}"


def _column_name(panel: Panel, index: int) -> str:
    named = len(panel.labels) == panel.array.shape[1] <= MOST_NAMED
    return panel.labels[index] if named else str(index)


def _row_name(panel: Panel, index: int) -> str:
    """Rows of a square matrix have the names of its columns."""
    return _column_name(panel, index) if panel.array.shape[0] == panel.array.shape[1] else str(index)


def summary(panel: Panel, *, short: bool = False) -> str:
    """Of a square matrix around a centre: "diagonal 0.93 ± 0.04   off-diagonal 0.021 rms"; else "".

    `short`: "diag 0.93 ± 0.04   off 0.021 rms".

    The mean and standard deviation of the finite values on the diagonal, and the root mean square of those
    off it, all as they are in the data.
    """
    rows, columns = panel.array.shape
    if panel.center is None or rows != columns or rows < 2:
        return ""
    values = panel.array.astype(np.float64)
    diagonal = np.diag(values)
    off = values[~np.eye(rows, dtype=bool)]
    diagonal, off = diagonal[np.isfinite(diagonal)], off[np.isfinite(off)]
    names = ("diag", "off") if short else ("diagonal", "off-diagonal")
    parts = []
    if diagonal.size:
        parts.append(f"{names[0]} {number(float(diagonal.mean()), 2)} ± {number(float(diagonal.std()), 2)}")
    if off.size:
        parts.append(f"{names[1]} {number(float(np.sqrt(np.mean(off**2))), 2)} rms")
    return "   ".join(parts)


def _signs(share: Matrix, *, diverging: bool) -> Cells:
    """Shares as shades, two rows of pixels in one of cells; below the centre other glyphs than above it."""
    if len(share) % 2:
        share = np.vstack([share, share[-1:]])
    upper, lower = share[0::2], share[1::2]
    cells = Cells.blank(share.shape[1], len(share) // 2)
    if diverging:
        stronger = np.where(np.abs(np.nan_to_num(upper, nan=0.5) - 0.5) >= np.abs(lower - 0.5), upper, lower)
        cells.glyphs[:] = shade(np.abs(stronger - 0.5) * 2, stronger < 0.5)
    else:
        cells.glyphs[:] = shade((upper + lower) / 2)
    return cells


def _bar_marks(low: float, high: float, height: int, *, diverging: bool) -> dict[int, str]:
    """Numbers beside the colour bar, by row."""
    marks = {0: number(high, 3), height - 1: number(low, 3)}
    if diverging and height >= 5:
        marks[(height - 1) // 2] = number((low + high) / 2, 3)
    return marks


def _color_bar(low: float, high: float, height: int, *, diverging: bool, color: bool) -> Cells:
    """The map from `high` at the top to `low` at the bottom, with these numbers."""
    marks = _bar_marks(low, high, height, diverging=diverging)
    cells = Cells.blank(2 + max(map(text_width, marks.values())), height)
    steps = (2 * height - np.arange(2 * height) - 1) / (2 * height - 1)
    share = np.repeat(steps[:, None], 1, axis=1)
    if color:
        cells.paste(half_blocks(map_colors(share, diverging=diverging)), 0, 0)
    else:
        cells.paste(_signs(share, diverging=diverging), 0, 0)
    for row, text in marks.items():
        cells.put_right(text, row, cells.width, MUTED)
    return cells
