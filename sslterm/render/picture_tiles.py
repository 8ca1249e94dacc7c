"""Pictures made of squares: grids of images and matrices, enlarged by whole numbers to stay sharp."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sslterm.render.heatmap import pool
from sslterm.render.image import Grid, columns_of, mosaic, whole_grid
from sslterm.render.ink import (
    FAINT,
    INK,
    PAPER,
    RULE,
    SMALL_SIZE,
    TEXT_SIZE,
    line_height,
    shortened,
    text_size,
    write,
    write_upwards,
)
from sslterm.render.palette import map_colors_on_paper, rgb, shares, unpack
from sslterm.render.quantity import linear_ticks, number, tick_labels
from sslterm.run.panels import Panel

_SIDE: Final = 960
"""Side in pixels that small pictures are enlarged to, as far as whole numbers allow."""
_GAP: Final = (150, 152, 156)
_MATRIX_SIDE: Final = 640
_LARGEST_ZOOM: Final = 16
_MOST_ROWS: Final = 2048
"""Matrices larger than this are pooled."""


def _colored(colors: NDArray[np.int32]) -> Image.Image:
    """Colours as a picture; where there is none, a grey that sets off both black and white."""
    pixels = unpack(np.maximum(colors, 0))
    pixels[colors < 0] = _GAP
    return Image.fromarray(pixels)


def images_picture(panel: Panel) -> tuple[Image.Image, str]:
    """A grid of images with gaps of 2 pixels, column names above, axes at the left and below."""
    count, _, tall, wide = panel.array.shape
    columns = columns_of(panel)
    index = whole_grid(count, columns)
    zoom = max(min(_SIDE // (columns * wide), _SIDE // (len(index) * tall), _LARGEST_ZOOM), 1)
    tiles = _colored(mosaic(panel, Grid(index, tall * zoom, wide * zoom, 2, "")))
    left = line_height(TEXT_SIZE) + 4 if panel.y_label else 0
    top = line_height(SMALL_SIZE) if panel.labels else 0
    bottom = line_height(TEXT_SIZE) + 4 if panel.x_label else 0
    picture = Image.new("RGB", (left + tiles.width, top + tiles.height + bottom), PAPER)
    picture.paste(tiles, (left, top))
    step = wide * zoom + 2
    for column, name in enumerate(panel.labels[:columns]):
        x = left + column * step + wide * zoom / 2
        write(
            picture,
            x,
            top / 2,
            shortened(name, step - 4, SMALL_SIZE),
            size=SMALL_SIZE,
            color=FAINT,
            anchor="mm",
        )
    if panel.x_label:
        write(picture, left + tiles.width / 2, picture.height - bottom / 2, panel.x_label, anchor="mm")
    if panel.y_label:
        write_upwards(picture, (left - 4) / 2, top + tiles.height / 2, panel.y_label)
    return picture, ""


def matrix_picture(panel: Panel) -> tuple[Image.Image, str]:
    """A heatmap with numbered or named rows and columns and a colour bar; small ones show their values."""
    share, low, high = shares(panel.array, low=panel.low, high=panel.high, center=panel.center)
    diverging = panel.center is not None
    pooled, note = pool(share, _MOST_ROWS, _MOST_ROWS, center=0.5 if diverging else None)
    zoom = max(min(_MATRIX_SIDE // max(pooled.shape), 64), 1)
    colors = map_colors_on_paper(pooled, diverging=diverging, levels=255)
    heat = _colored(colors.repeat(zoom, axis=0).repeat(zoom, axis=1))
    if zoom >= 36:
        _write_values(heat, panel.array, unpack(colors), zoom)
    left, bottom = _sides(panel)
    top = line_height(SMALL_SIZE) // 2
    bar_height = max(heat.height, 160)
    bar = _color_bar(low, high, bar_height, diverging=diverging)
    size = (left + heat.width + 16 + bar.width, top + max(heat.height + bottom, bar_height + top))
    picture = Image.new("RGB", size, PAPER)
    picture.paste(heat, (left, top))
    picture.paste(bar, (left + heat.width + 16, 0))
    _write_indices(picture, panel, heat.size, left, top)
    if panel.x_label:
        write(picture, left + heat.width / 2, top + heat.height + bottom - 10, panel.x_label, anchor="mm")
    if panel.y_label:
        write_upwards(picture, line_height(TEXT_SIZE) / 2, top + heat.height / 2, panel.y_label)
    return picture, note


def _indices(panel: Panel, axis: int) -> list[tuple[float, str]]:
    """Places (in rows or columns) and names of the marks of an axis."""
    count = panel.array.shape[axis]
    if len(panel.labels) == count <= 40:
        return [(i + 0.5, name) for i, name in enumerate(panel.labels)]
    ticks = [tick for tick in linear_ticks(0, count - 1, 6 if count > 12 else count) if tick == int(tick)]
    return [(tick + 0.5, f"{int(tick):,}") for tick in ticks]


def _sides(panel: Panel) -> tuple[int, int]:
    """Pixels needed for marks and labels at the left and below."""
    widest = max((text_size(name, SMALL_SIZE)[0] for _, name in _indices(panel, 0)), default=0)
    left = min(widest, 160) + 10 + (line_height(TEXT_SIZE) if panel.y_label else 0)
    named = len(panel.labels) == panel.array.shape[1] <= 40
    longest = max((text_size(name, SMALL_SIZE)[0] for _, name in _indices(panel, 1)), default=0)
    below = min(longest, 160) if named and longest > 24 else line_height(SMALL_SIZE)
    return left, below + 8 + (line_height(TEXT_SIZE) if panel.x_label else 0)


def _write_indices(picture: Image.Image, panel: Panel, size: tuple[int, int], left: int, top: int) -> None:
    width, height = size
    for place, name in _indices(panel, 0):
        y = top + place * height / panel.array.shape[0]
        write(
            picture, left - 6, y, shortened(name, 160, SMALL_SIZE), size=SMALL_SIZE, color=FAINT, anchor="rm"
        )
    marks = _indices(panel, 1)
    longest = max((text_size(name, SMALL_SIZE)[0] for _, name in marks), default=0)
    named = len(panel.labels) == panel.array.shape[1] <= 40
    for place, name in marks:
        x = left + place * width / panel.array.shape[1]
        name = shortened(name, 160, SMALL_SIZE)
        if named and longest > 24:
            y = top + height + 6 + text_size(name, SMALL_SIZE)[0] / 2
            write_upwards(picture, x, y, name, size=SMALL_SIZE, color=FAINT)
        else:
            y = top + height + 4 + line_height(SMALL_SIZE) / 2
            write(picture, x, y, name, size=SMALL_SIZE, color=FAINT, anchor="mm")


def _write_values(
    heat: Image.Image, values: NDArray[np.float32], colors: NDArray[np.uint8], zoom: int
) -> None:
    luminance = colors @ np.array([0.299, 0.587, 0.114])
    for row, column in np.ndindex(*values.shape):
        text = number(float(values[row, column]), 2)
        if text_size(text, SMALL_SIZE)[0] <= zoom - 4:
            ink = INK if luminance[row, column] > 130 else PAPER
            x, y = (column + 0.5) * zoom, (row + 0.5) * zoom
            write(heat, x, y, text, size=SMALL_SIZE, color=ink, anchor="mm")


def _color_bar(low: float, high: float, height: int, *, diverging: bool) -> Image.Image:
    """A bar of `height` pixels with ticks at its right; half a line of room above and below."""
    ticks = linear_ticks(low, high, 6)
    names = tick_labels(ticks)
    room = line_height(SMALL_SIZE) // 2
    width = 18 + 10 + max(text_size(name, SMALL_SIZE)[0] for name in names)
    picture = Image.new("RGB", (width, height + 2 * room), PAPER)
    share = np.linspace(1, 0, height)[:, None].repeat(18, axis=1)
    picture.paste(_colored(map_colors_on_paper(share, diverging=diverging, levels=255)), (0, room))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, room, 17, room + height - 1), outline=RULE)
    for tick, name in zip(ticks, names, strict=True):
        y = room + (high - tick) / (high - low) * (height - 1)
        draw.line((18, y, 22, y), fill=rgb(0x6E7178))
        write(picture, 26, y, name, size=SMALL_SIZE, color=FAINT)
    return picture
