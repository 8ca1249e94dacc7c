"""Matrices as heatmaps: pooled to the pixels there are, and saying so, with a colour bar."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells, text_width
from sslterm.render.halfblock import half_blocks, shade
from sslterm.render.palette import MUTED, map_colors, shares
from sslterm.render.quantity import number
from sslterm.run.panels import Panel

Matrix = NDArray[Any]


def pool(matrix: Matrix, rows: int, columns: int, *, center: float | None) -> tuple[Matrix, str]:
    """Blocks of `matrix` so that it fits `rows` x `columns`, and what a value then is ("mean of 4x4").

    Around a `center`, a block shows the value farthest from it: a diagonal or a single strong entry survives,
    where a mean would drown it. Without one, a block shows its mean. NaN are left out. Blocks are square
    unless the matrix is long; blocks at the lower and right edge may be smaller.
    """
    tall = max(-(-matrix.shape[0] // max(rows, 1)), 1)
    wide = max(-(-matrix.shape[1] // max(columns, 1)), 1)
    if max(matrix.shape) <= 3 * min(matrix.shape):
        tall = wide = max(tall, wide)
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
    cells = Cells.blank(width, height)
    if width < 1 or height < 1 or not panel.array.size:
        return cells, ""
    share, low, high = shares(panel.array, low=panel.low, high=panel.high, center=panel.center)
    bar = _color_bar(low, high, height, diverging=panel.center is not None, color=color)
    with_bar = width >= 24 and height >= 3
    columns = width - (bar.width + 1 if with_bar else 0)
    middle = None if panel.center is None else 0.5
    pooled, note = pool(share, 2 * height, columns, center=middle)
    zoom = max(min(columns // pooled.shape[1], 2 * height // pooled.shape[0]), 1)
    pooled = pooled.repeat(zoom, axis=0).repeat(zoom, axis=1)
    if color:
        picture = half_blocks(map_colors(pooled, diverging=middle is not None))
    else:
        picture = _signs(pooled, diverging=middle is not None)
    cells.paste(picture, 0, 0)
    if with_bar:
        shown = min(picture.height, height)
        cells.paste(
            _color_bar(low, high, max(shown, 3), diverging=middle is not None, color=color),
            0,
            min(picture.width, columns) + 1,
        )
    return cells, note


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


def _color_bar(low: float, high: float, height: int, *, diverging: bool, color: bool) -> Cells:
    """The map from `high` at the top to `low` at the bottom, with these numbers."""
    marks = {0: number(high, 3), height - 1: number(low, 3)}
    if diverging and height >= 5:
        marks[(height - 1) // 2] = number((low + high) / 2, 3)
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
