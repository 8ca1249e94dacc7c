"""The same panel of several runs as one picture, each under the name of its run and when it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from sslterm.render.image import Grid, columns_of, mosaic, whole_grid
from sslterm.render.ink import (
    FAINT,
    PAPER,
    RULE,
    SMALL_SIZE,
    TEXT_SIZE,
    font,
    line_height,
    shortened,
    text_size,
    wrapped,
    write,
)
from sslterm.render.overlay import letter
from sslterm.render.palette import categorical_on_paper, rgb, unpack
from sslterm.render.panel import plot_of
from sslterm.render.picture_charts import bars_picture, plot_picture
from sslterm.render.picture_scatter import scatter_picture
from sslterm.render.picture_tiles import matrix_picture
from sslterm.render.png import framed
from sslterm.render.side_by_side import Shot, on_one_scale, seeds_note
from sslterm.run.panels import Panel

_SIDE: Final = 480
"""Side in pixels that grids of images are enlarged to, as far as whole numbers allow."""
_WIDEST: Final = 2400
"""Width in pixels beyond which pictures go into another row."""
_BETWEEN: Final = 36
_GROUND: Final = (150, 152, 156)


def side_by_side_picture(shots: Sequence[Shot], title: str) -> Image.Image:
    """The shots beside each other, each under the name of its run and when it was made."""
    scaled = on_one_scale(shots)
    pictures = [_shot_picture(shot) for shot in scaled]
    rows: list[list[Image.Image]] = [[]]
    for picture in pictures:
        if rows[-1] and sum(one.width + _BETWEEN for one in rows[-1]) + picture.width > _WIDEST:
            rows.append([])
        rows[-1].append(picture)
    per_row = max(-(-len(pictures) // len(rows)), 1)  # as even as it goes: 3 and 3, not 5 and 1
    rows = [pictures[start : start + per_row] for start in range(0, len(pictures), per_row)]
    widths = [max(row[i].width for row in rows if i < len(row)) for i in range(per_row if rows else 0)]
    heights = [max(one.height for one in row) for row in rows]
    size = sum(widths) + _BETWEEN * max(len(widths) - 1, 0), sum(heights) + _BETWEEN * max(len(rows) - 1, 0)
    sheet = Image.new("RGB", (max(size[0], 1), max(size[1], 1)), PAPER)
    y = 0
    for row, height in zip(rows, heights, strict=True):
        x = 0
        for one, width in zip(row, widths, strict=False):
            sheet.paste(one, (x, y))
            x += width + _BETWEEN
        y += height + _BETWEEN
    return framed(sheet, title, seeds_note(shots))


def _shot_picture(shot: Shot) -> Image.Image:
    body = _body(shot.panel) if shot.panel is not None and shot.panel.array.size else _missing(shot.trouble)
    caption = shot.panel.caption if shot.panel is not None else ""
    lines = wrapped(caption, max(body.width, 320), SMALL_SIZE)
    step, small = line_height(TEXT_SIZE) + 4, line_height(SMALL_SIZE)
    head = 2 * step + small * len(lines) + 8
    width = max(body.width, 320)
    picture = Image.new("RGB", (width, head + body.height), PAPER)
    tag = 20
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 2, tag - 1, tag + 1), radius=4, fill=rgb(categorical_on_paper(shot.place)))
    draw.text(
        (tag / 2 - 0.5, tag / 2 + 1.5), letter(shot.place), font=font(SMALL_SIZE), fill=PAPER, anchor="mm"
    )
    write(picture, tag + 8, tag / 2 + 2, shortened(shot.name, width - tag - 8, TEXT_SIZE), size=TEXT_SIZE)
    write(picture, 0, step + small / 2, shot.when, size=SMALL_SIZE, color=FAINT)
    for index, line in enumerate(lines):
        write(picture, 0, step + small * (index + 1.5), line, size=SMALL_SIZE, color=FAINT)
    picture.paste(body, (0, head))
    return picture


def _body(panel: Panel) -> Image.Image:
    """The panel itself, without title and caption."""
    if panel.kind == "images":
        return _images(panel)
    if panel.kind == "matrix":
        return matrix_picture(panel)[0]
    if panel.kind == "bars":
        return bars_picture(panel)[0]
    if panel.kind == "scatter":
        return scatter_picture(panel)[0]
    return plot_picture(plot_of(panel), 560, 320)


def _images(panel: Panel) -> Image.Image:
    """A grid of images, enlarged by a whole number to about `_SIDE` pixels."""
    count, _, tall, wide = panel.array.shape
    index = whole_grid(count, columns_of(panel))
    zoom = max(min(_SIDE // (index.shape[1] * wide), _SIDE // (index.shape[0] * tall)), 1)
    colors = mosaic(panel, Grid(index, tall * zoom, wide * zoom, 1, ""))
    pixels = unpack(np.maximum(colors, 0))
    pixels[colors < 0] = _GROUND
    tiles = Image.fromarray(pixels)
    top = line_height(SMALL_SIZE) if panel.labels else 0
    picture = Image.new("RGB", (tiles.width, top + tiles.height), PAPER)
    picture.paste(tiles, (0, top))
    step = wide * zoom + 1
    for column, name in enumerate(panel.labels[: index.shape[1]]):
        text = shortened(name, step - 4, SMALL_SIZE)
        if text_size(text, SMALL_SIZE)[0] <= step:
            write(picture, (column + 0.5) * step, top / 2, text, size=SMALL_SIZE, color=FAINT, anchor="mm")
    return picture


def _missing(trouble: str) -> Image.Image:
    """In place of a panel that a run does not have."""
    picture = Image.new("RGB", (320, 200), PAPER)
    ImageDraw.Draw(picture).rectangle((0, 0, 319, 199), outline=RULE)
    write(picture, 160, 100, shortened(trouble, 300, SMALL_SIZE), size=SMALL_SIZE, color=FAINT, anchor="mm")
    return picture
