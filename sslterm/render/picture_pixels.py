"""The picture of a panel in a terminal's own pixels, laid out as its half-blocks are."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sslterm.render.heatmap import lay_out, pool
from sslterm.render.image import Grid, mosaic, plan
from sslterm.render.palette import Colors, map_colors, shares, unpack
from sslterm.render.theme import DARK, Theme
from sslterm.run.panels import Panel


def pixels_of(
    panel: Panel, width: int, height: int, *, cell: tuple[int, int], theme: Theme = DARK
) -> Image.Image | None:
    """Images or a matrix as they lie in `width` x `height` cells of `cell` pixels (width, height) each.

    It fills whole cells; what lies between images is transparent. None where the panel is of another kind,
    or has nothing to show.
    """
    if width < 1 or height < 1 or not panel.array.size:
        return None
    if panel.kind == "images":
        colors = _tiles(panel, width, height, cell)
    elif panel.kind == "matrix":
        colors = theme.colors(_values(panel, width, height, cell))
    else:
        return None
    filled = [-(-size // step) * step for size, step in zip(colors.shape, cell[::-1], strict=True)]
    canvas = np.full(filled, -1, dtype=np.int32)
    canvas[: colors.shape[0], : colors.shape[1]] = colors
    opaque = np.where(canvas >= 0, 255, 0).astype(np.uint8)
    return Image.fromarray(np.dstack([unpack(np.maximum(canvas, 0)), opaque]))


def _tiles(panel: Panel, width: int, height: int, cell: tuple[int, int]) -> Colors:
    """The same grid, a pixel of half-blocks being as large as a cell is wide and half a cell high."""
    grid = plan(panel, width, 2 * height)
    across, down = cell[0], cell[1] // 2
    step = (grid.tile_height + grid.gap) * down, (grid.tile_width + grid.gap) * across
    gap = grid.gap * min(across, down)
    colors = mosaic(panel, Grid(grid.index, step[0] - gap, step[1] - gap, gap, ""))
    return colors[: 2 * height * down, : width * across]


def _values(panel: Panel, width: int, height: int, cell: tuple[int, int]) -> Colors:
    """The matrix in the same room, pooled only as far as pixels ask for."""
    layout = lay_out(panel, width, height)
    assert layout is not None
    share, _, _ = shares(panel.array, low=panel.low, high=panel.high, center=panel.center)
    diverging = panel.center is not None
    rows, columns = (size * layout.zoom for size in layout.share.shape)
    tall, wide = rows * cell[1] // 2, min(columns, width) * cell[0]
    pooled, _ = pool(share, tall, wide, center=0.5 if diverging else None)
    down = np.arange(tall) * pooled.shape[0] // tall
    across = np.arange(wide) * pooled.shape[1] // wide
    return map_colors(pooled[down][:, across], diverging=diverging)
