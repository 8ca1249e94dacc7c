"""The same panel of several runs side by side: in terminal cells, and as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from sslterm.render.bars import bar_range
from sslterm.render.cells import Cells, fit
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
from sslterm.render.palette import ACCENT, GROUND, MUTED, categorical, categorical_on_paper, rgb, unpack
from sslterm.render.panel import draw_panel, plot_of
from sslterm.render.picture_charts import bars_picture, plot_picture, scatter_picture
from sslterm.render.picture_tiles import matrix_picture
from sslterm.render.png import framed
from sslterm.run.comparison import seeds_of
from sslterm.run.panels import Panel

LEAST_WIDTH: Final = 20
"""Cells that a panel needs to be seen beside others."""
_LEAST_HEIGHT: Final = 8
_GAP: Final = 2
_SIDE: Final = 480
"""Side in pixels that grids of images are enlarged to, as far as whole numbers allow."""
_WIDEST: Final = 2400
"""Width in pixels beyond which pictures go into another row."""
_BETWEEN: Final = 36
_GROUND: Final = (150, 152, 156)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One run's drawing of a panel.

    Attributes:
        place: of the run, in the order of choosing.
        when: when it was made, e.g. "at 512 k images".
        panel: None where there is none, and `trouble` says why.
    """

    place: int
    name: str
    when: str = ""
    panel: Panel | None = None
    trouble: str = "no such panel"


def seeds_note(shots: Sequence[Shot]) -> str:
    """What captions say of seeds: "seed 0", "different seeds: 0, 3", or ""."""
    seeds = seeds_of(shot.panel for shot in shots if shot.panel is not None)
    if len(seeds) > 1:
        return f"different seeds: {', '.join(map(str, seeds))}"
    return f"seed {seeds[0]}" if seeds else ""


def on_one_scale(shots: Sequence[Shot]) -> list[Shot]:
    """The same shots with one range of values where their panels leave it open: equal colours are equal values."""
    panels = [shot.panel for shot in shots if shot.panel is not None]
    kinds = {panel.kind for panel in panels}
    if len(kinds) != 1 or not kinds <= {"bars", "curve", "matrix"}:
        return list(shots)
    if kinds == {"bars"}:
        ends = [bar_range(panel) for panel in panels]
    else:
        finite = [panel.array[np.isfinite(panel.array)] for panel in panels]
        ends = [(float(values.min()), float(values.max())) for values in finite if values.size]
    if not ends:
        return list(shots)
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)

    def scaled(panel: Panel | None) -> Panel | None:
        if panel is None:
            return None
        return replace(
            panel,
            low=low if panel.low is None else panel.low,
            high=high if panel.high is None else panel.high,
        )

    return [replace(shot, panel=scaled(shot.panel)) for shot in shots]


# -- in cells


@dataclass(frozen=True)
class Slots:
    """Where shots stand: `down` rows of `across`, the first of them `first`; cells of one."""

    first: int
    across: int
    down: int
    width: int
    height: int

    def box(self, index: int) -> tuple[int, int]:
        """(row, column) of the upper left corner of shot `first + index`."""
        row, column = divmod(index, self.across)
        return row * self.height, column * (self.width + _GAP)


def slots_for(count: int, width: int, height: int, marked: int | None) -> Slots:
    """The places for `count` shots in `width` x `height` cells: as large as can be, or some of them around `marked`."""
    most_across = max((width + _GAP) // (LEAST_WIDTH + _GAP), 1)
    most_down = max(height // _LEAST_HEIGHT, 1)

    def side(across: int) -> float:
        down = -(-count // across)
        return min((width + _GAP) / across - _GAP, 2 * (height / down - 1))

    fitting = [
        across for across in range(1, min(count, most_across) + 1) if -(-count // across) <= most_down
    ]
    across = max(fitting, key=lambda across: (side(across), across), default=min(count, most_across))
    down = min(-(-count // across), most_down) if count else 1
    shown = across * down
    first = min(max((marked or 0) - shown + 1, 0), max(count - shown, 0))
    return Slots(first, across, down, (width - _GAP * (across - 1)) // across, height // down)


def draw_side_by_side(
    shots: Sequence[Shot], width: int, height: int, *, color: bool, title: str, selected: bool, marked: int | None
) -> Cells:
    """The shots within `width` x `height` cells under a title; the run that is marked stays in sight.

    Args:
        title: what the panel is.
        selected: whether the title is marked.
        marked: index of the shot that keys act on.
    """
    cells = Cells.blank(width, height)
    if width < 1 or height < 1:
        return cells
    slots = slots_for(len(shots), width, height - 1, marked)
    shown = shots[slots.first : slots.first + slots.across * slots.down]
    out_of_sight = f"{slots.first + 1}-{slots.first + len(shown)} of {len(shots)} runs"
    parts = [title, seeds_note(shots), out_of_sight if len(shown) < len(shots) else ""]
    text = ("▸ " if selected else "") + " · ".join(part for part in parts if part)
    cells.put(fit(text, width), 0, 0, ACCENT if selected else GROUND)
    for index, shot in enumerate(on_one_scale(shown)):
        row, column = slots.box(index)
        one = _draw_shot(shot, slots.width, min(slots.height, height - 1 - row), color=color)
        cells.paste(one, row + 1, column)
    return cells if color else cells.uncolored()


def _draw_shot(shot: Shot, width: int, height: int, *, color: bool) -> Cells:
    """A run's letter, name and time over its panel, or why there is none."""
    title = f"{letter(shot.place)} {shot.name}"
    if shot.panel is None:
        cells = Cells.blank(width, height)
        cells.put(fit(title, width), 0, 0)
        cells.put(fit(shot.trouble, width), min(height // 2, max(height - 1, 0)), 0, MUTED)
    else:
        cells = draw_panel(replace(shot.panel, name=title), width, height, color=color, when=shot.when)
    if cells.height >= 3 or shot.panel is None:
        cells.fg[:1, : len(letter(shot.place))] = categorical(shot.place) if color else GROUND
    return cells


# -- as a picture


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
