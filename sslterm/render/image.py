"""Grids of images: laid out, enlarged by whole pixels, reduced by means of areas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells
from sslterm.render.halfblock import grey_cells, half_blocks, merge_runs
from sslterm.render.palette import GROUND, Colors, pack
from sslterm.run.panels import Panel

SMALLEST_TILE: Final = 8
"""Side in pixels below which images are left out rather than shrunk further."""
_LARGEST_ZOOM: Final = 8
_TONES: Final = 31
"""Steps of a channel in a terminal: few, so that equal cells merge."""


@dataclass(frozen=True)
class Grid:
    """Which images are shown: `index` [rows, columns] into the panel (-1: none); how large, in pixels."""

    index: NDArray[np.intp]
    tile_height: int
    tile_width: int
    gap: int
    note: str


def columns_of(panel: Panel) -> int:
    """Images a row: the panel's own, or near square."""
    count = len(panel.array)
    return min(panel.columns, max(count, 1)) if panel.columns else max(int(np.ceil(np.sqrt(count))), 1)


def whole_grid(count: int, columns: int) -> NDArray[np.intp]:
    """Indices 0 .. count - 1 row by row, [rows, columns], filled up with -1."""
    rows = -(-count // columns)
    index = np.arange(rows * columns).reshape(rows, columns)
    return np.where(index < count, index, -1)


def to_rgb(panel: Panel) -> NDArray[np.float64]:
    """Images [N, C, H, W] -> [N, H, W, 3] in [0, 1]; C = 1 is grey, NaN is black."""
    low = 0.0 if panel.low is None else panel.low
    high = 1.0 if panel.high is None else panel.high
    array = np.nan_to_num((np.asarray(panel.array, dtype=np.float64) - low) / ((high - low) or 1.0))
    array = np.clip(array, 0, 1)
    array = array[:, :3] if array.shape[1] >= 3 else array[:, :1].repeat(3, axis=1)
    return array.transpose(0, 2, 3, 1)


def plan(panel: Panel, width: int, height: int) -> Grid:
    """The layout for `width` x `height` pixels: all images as large as they fit, or else some of them.

    A plane (`y_label` is set) is thinned evenly, and so is each row where rows run along something (`x_label`
    alone), from its first image to its last; any other grid shows its first images; columns that have names, or
    are given by the panel, stay together as long as they fit.
    """
    count, _, tall, wide = panel.array.shape
    index = whole_grid(count, columns_of(panel))
    fixed = bool(panel.columns or panel.labels)
    if not fixed:
        index = max(
            (whole_grid(count, columns) for columns in range(1, count + 1)),
            key=lambda grid: (
                _tile(grid, tall, wide, width, height),
                -abs(grid.shape[1] - columns_of(panel)),
            ),
        )
    tile = _tile(index, tall, wide, width, height)
    smallest = min(SMALLEST_TILE, tall)
    if tile >= smallest:
        return Grid(index, tile, max(round(tile * wide / tall), 1), _gap(tile), "")
    if panel.y_label:
        return _thinned_evenly(index, smallest, max(round(smallest * wide / tall), 1), width, height)
    return _thinned(panel, index, smallest, width, height)


def _gap(tile: int) -> int:
    return 1 if tile >= SMALLEST_TILE else 0


def _tile(index: NDArray[np.intp], tall: int, wide: int, width: int, height: int) -> int:
    """The largest height of a tile with which the grid fits: a multiple of the image's, or less."""
    rows, columns = index.shape
    for zoom in range(_LARGEST_ZOOM, 0, -1):
        gap = _gap(tall * zoom)
        if rows * (tall * zoom + gap) - gap <= height and columns * (wide * zoom + gap) - gap <= width:
            return tall * zoom
    by_height = (height + 1) // rows - 1
    by_width = int(((width + 1) // columns - 1) * tall / wide)
    return int(max(min(by_height, by_width, tall), 0))


def _thinned_evenly(index: NDArray[np.intp], tile: int, tile_width: int, width: int, height: int) -> Grid:
    """Every k-th row and column of a plane, without gaps."""
    rows, columns = index.shape
    step = max(-(-rows // max(height // tile, 1)), -(-columns // max(width // tile_width, 1)))
    return Grid(index[::step, ::step], tile, tile_width, 0, f"every {_nth(step)} of {columns}x{rows}")


def _thinned(panel: Panel, index: NDArray[np.intp], tile: int, width: int, height: int) -> Grid:
    """The first rows, or as many images as fit, a row after the other."""
    tall, wide = panel.array.shape[2:]
    tile_width = max(round(tile * wide / tall), 1)
    fitting = max((width + 1) // (tile_width + 1), 1)
    if panel.x_label and 1 < fitting < index.shape[1]:
        index = index[:, np.linspace(0, index.shape[1] - 1, fitting).round().astype(int)]
    elif not panel.columns and not panel.labels:
        index = whole_grid(len(panel.array), min(fitting, len(panel.array)))
    elif index.shape[1] % 2 == 0 and 1 < fitting < index.shape[1]:
        fitting -= fitting % 2  # columns may be pairs
    shown = index[: max((height + 1) // (tile + 1), 1), :fitting]
    count = int((shown >= 0).sum())
    note = f"{count} of {len(panel.array)} shown" if count < len(panel.array) else ""
    return Grid(shown, tile, tile_width, _gap(tile), note)


def _nth(step: int) -> str:
    return f"{step}{ {2: 'nd', 3: 'rd'}.get(step, 'th') }"


def resize(images: NDArray[Any], height: int, width: int) -> NDArray[np.float64]:
    """[N, H, W, 3] -> [N, height, width, 3]: repeats pixels where that fits, else means of areas."""
    images = np.asarray(images, dtype=np.float64)
    for axis, size in ((1, height), (2, width)):
        old = images.shape[axis]
        if size % old == 0:
            images = images.repeat(size // old, axis=axis)
        else:
            images = np.moveaxis(np.tensordot(_areas(old, size), images, axes=(1, axis)), 0, axis)
    return images


def _areas(old: int, new: int) -> NDArray[np.float64]:
    """[new, old]: the share that each old pixel has in each new one."""
    edges = np.linspace(0, old, new + 1)
    left = np.maximum(edges[:-1, None], np.arange(old))
    right = np.minimum(edges[1:, None], np.arange(old) + 1)
    overlap = np.maximum(right - left, 0)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True))


def mosaic(panel: Panel, grid: Grid, *, tones: int = 255) -> Colors:
    """The pixels of a grid of images, `GROUND` between them."""
    rows, columns = grid.index.shape
    shown = np.maximum(grid.index, 0).ravel()
    images = to_rgb(panel)[shown] if len(panel.array) else np.zeros((len(shown), 1, 1, 3))
    images = resize(images, grid.tile_height, grid.tile_width)
    tiles = pack(np.rint(np.rint(images * tones) * (255 / tones)))
    tiles[grid.index.ravel() < 0] = GROUND
    spread = ((0, 0), (0, grid.gap), (0, grid.gap))
    tiles = np.pad(tiles, spread, constant_values=GROUND)
    canvas = tiles.reshape(rows, columns, *tiles.shape[1:]).swapaxes(1, 2)
    canvas = canvas.reshape(rows * tiles.shape[1], columns * tiles.shape[2])
    return np.ascontiguousarray(canvas[: -grid.gap or None, : -grid.gap or None])


def draw_images(panel: Panel, width: int, height: int, *, color: bool) -> tuple[Cells, str]:
    """An image panel within `width` x `height` cells, and which images are left out."""
    cells = Cells.blank(width, height)
    if width < 1 or height < 1 or not panel.array.size:
        return cells, "no images" if not panel.array.size else ""
    grid = plan(panel, width, 2 * height)
    pixels = mosaic(panel, grid, tones=_TONES)
    cells.paste(merge_runs(half_blocks(pixels)) if color else grey_cells(pixels), 0, 0)
    return cells, grid.note
