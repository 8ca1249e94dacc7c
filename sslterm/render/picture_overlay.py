"""One metric of several runs as a picture: dashed lines that end in the letters of their runs, and a legend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sslterm.render.curve import Line, Plot, Ranges, ranges_of
from sslterm.render.envelope import column_edges, drawable, envelope
from sslterm.render.ink import PAPER, SMALL_SIZE, font, line_height, shortened, text_size, write
from sslterm.render.palette import categorical_on_paper, rgb
from sslterm.render.picture_charts import behind_on_paper, draw_grid, with_axes
from sslterm.render.png import framed, nothing_picture

Point = tuple[float, float]

_WIDTH: Final = 1000
_HEIGHT: Final = 460
_FINE: Final = 3
"""How many times larger lines are drawn before they are reduced."""
_TAG: Final = 18
"""Side in pixels of the tag with a run's letter."""
_LEADER: Final = 12
"""Pixels from the end of a line to its tag."""
_STROKE: Final = 2.5
DASHES: Final[Sequence[tuple[int, ...]]] = ((), (14, 6), (4, 5), (16, 5, 4, 5))
"""Pixels drawn and left out in turn, by run; () is solid."""
_LONGEST_NAME: Final = 280


def overlay_picture(plot: Plot, names: Mapping[str, str]) -> Image.Image:
    """An overlay as a picture.

    Args:
        names: of the runs, by the names of the plot's lines, which are letters.
    """
    ranges = ranges_of(plot)
    if ranges is None:
        return framed(nothing_picture(), plot.title)
    reach, room = ranges.x[1] - ranges.x[0], _TAG + _LEADER + 2
    wider = replace(ranges, x=(ranges.x[0], ranges.x[1] + reach * room / (_WIDTH - room)))
    area = Image.new("RGB", (_WIDTH * _FINE, _HEIGHT * _FINE), PAPER)
    draw_grid(area, wider)
    for line in reversed(plot.lines):
        if len(line.drawn) > 1:
            _draw_behind(area, line, wider)
    ends = []
    for line in reversed(plot.lines):
        strokes = strokes_of(line, line.strong, wider, area.size)
        for stroke in strokes:
            _draw_dashed(area, stroke, line.hue)
        if strokes:
            ends.append((line, strokes[-1][-1]))
    area = area.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
    _draw_tags(area, ends)
    y_label = f"{plot.unit} (log)".strip() if ranges.log_y else plot.unit
    x_label = f"{plot.x_label} (log)" if ranges.log_x else plot.x_label
    body = with_axes(area, wider, x_label, y_label)
    legend = _legend(plot.lines, names, body.width)
    picture = Image.new("RGB", (body.width, legend.height + 8 + body.height), PAPER)
    picture.paste(legend, (0, 0))
    picture.paste(body, (0, legend.height + 8))
    return framed(picture, " · ".join((plot.title, *plot.notes)))


def strokes_of(line: Line, values: NDArray[Any], ranges: Ranges, size: tuple[int, int]) -> list[list[Point]]:
    """The unbroken parts of a line through `values` [N] as points in pixels; of many the ends of every column."""
    (low, high), (x_low, x_high) = ranges.y, ranges.x
    width, height = size[0] - 1, size[1] - 1
    columns = size[0] // _FINE
    if len(line.x) > columns:
        edges = column_edges(x_low, x_high, columns, log=ranges.log_x)
        least, most = envelope(line.x, values, edges, log_y=ranges.log_y, log_x=ranges.log_x)
        x = np.arange(columns).repeat(2) * (width / max(columns - 1, 1))
        y = np.stack([least, most], axis=1)
        y[1::2] = y[1::2, ::-1]  # down one column and up the next, so that neighbours join
        y = y.ravel()
    else:
        values = drawable(np.asarray(values, dtype=np.float64), positive=ranges.log_y)
        y = np.log10(values) if ranges.log_y else values
        places = drawable(np.asarray(line.x, dtype=np.float64), positive=ranges.log_x)
        places = np.log10(places) if ranges.log_x else places
        x = (places - x_low) / (x_high - x_low) * width
    down = np.clip((high - y) / (high - low), 0, 1) * height
    known = np.isfinite(down) & np.isfinite(x)
    parts = np.split(np.arange(len(down)), np.flatnonzero(~known))
    strokes = [[(float(x[i]), float(down[i])) for i in part if known[i]] for part in parts]
    return [stroke for stroke in strokes if stroke]


def _draw_behind(area: Image.Image, line: Line, ranges: Ranges) -> None:
    """The values of a line as thin strokes, nearly as light as the paper."""
    draw = ImageDraw.Draw(area)
    for stroke in strokes_of(line, line.y, ranges, area.size):
        if len(stroke) > 1:
            draw.line(stroke, fill=behind_on_paper(line.hue), width=_FINE, joint="curve")


def _draw_dashed(area: Image.Image, stroke: list[Point], hue: int) -> None:
    draw = ImageDraw.Draw(area)
    color, width = rgb(categorical_on_paper(hue)), round(_STROKE * _FINE)
    pattern = DASHES[hue % len(DASHES)]
    if len(stroke) == 1:
        draw.circle(stroke[0], 1.6 * width, fill=color)
        return
    for dash in dashed(stroke, [length * _FINE for length in pattern]) if pattern else [stroke]:
        draw.line(dash, fill=color, width=width, joint="curve")


def dashed(stroke: Sequence[Point], pattern: Sequence[float]) -> list[list[Point]]:
    """The parts of a polyline that are drawn when lengths of `pattern` are drawn and left out in turn."""
    parts: list[list[Point]] = [[stroke[0]]]
    place, left = 0, pattern[0]
    for start, end in pairwise(stroke):
        length = math.dist(start, end)
        done = 0.0
        while length - done > left:
            done += left
            share = done / length
            point = (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)
            if place % 2 == 0:
                parts[-1].append(point)
            else:
                parts.append([point])
            place += 1
            left = pattern[place % len(pattern)]
        left -= length - done
        if place % 2 == 0:
            parts[-1].append(end)
    return [part for part in parts if len(part) > 1]


def _draw_tags(area: Image.Image, ends: Sequence[tuple[Line, Point]]) -> None:
    """The letter of every line beside its end, joined to it; tags that would cover each other move apart."""
    groups: list[list[tuple[Line, Point]]] = []
    for line, (x, y) in sorted(ends, key=lambda end: end[1][0]):
        end = (line, (x / _FINE, y / _FINE))
        if groups and end[1][0] - groups[-1][-1][1][0] < _LEADER + _TAG:
            groups[-1].append(end)
        else:
            groups.append([end])
    for group in groups:
        group.sort(key=lambda end: end[1][1])
        left = max(x for _, (x, _) in group) + _LEADER
        border = _TAG / 2 + 1
        middles = spread([y for _, (_, y) in group], _TAG + 1, border, area.height - border)
        for (line, (x, y)), middle in zip(group, middles, strict=True):
            color = rgb(categorical_on_paper(line.hue))
            ImageDraw.Draw(area).line((x, y, left, middle), fill=color, width=1)
            _draw_tag(area, left, middle, line)


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Places at least `apart` from each other within [low, high], as near as can be to those wanted, which rise.

    What does not fit even so goes beyond `high`.
    """
    blocks: list[tuple[float, int]] = []  # places without what lies between them: their mean, and how many
    for index, place in enumerate(wanted):
        blocks.append((place - index * apart, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (one, count), (other, more) = blocks[-2:]
            blocks[-2:] = [((one * count + other * more) / (count + more), count + more)]
    top = max(high - (len(wanted) - 1) * apart, low)
    flat = [min(max(mean, low), top) for mean, count in blocks for _ in range(count)]
    return [place + index * apart for index, place in enumerate(flat)]


def _draw_tag(picture: Image.Image, left: float, middle: float, line: Line) -> None:
    """A run's letter in white on its colour."""
    box = (left, middle - _TAG / 2, left + _TAG - 1, middle + _TAG / 2 - 1)
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle(box, radius=4, fill=rgb(categorical_on_paper(line.hue)))
    draw.text(
        (left + _TAG / 2 - 0.5, middle - 0.5), line.name, font=font(SMALL_SIZE), fill=PAPER, anchor="mm"
    )


def _legend(lines: Sequence[Line], names: Mapping[str, str], width: int) -> Image.Image:
    """Tag, line style and name of every run, in as many rows as needed."""
    texts = [shortened(names.get(line.name, ""), _LONGEST_NAME, SMALL_SIZE) for line in lines]
    step = line_height(SMALL_SIZE) + 6
    wide = max((text_size(text, SMALL_SIZE)[0] for text in texts), default=0) + _TAG + 8 + 44 + 28
    columns = max(width // wide, 1)
    picture = Image.new("RGB", (width, step * -(-len(texts) // columns)), PAPER)
    for index, (line, text) in enumerate(zip(lines, texts, strict=True)):
        row, column = divmod(index, columns)
        x, middle = column * wide, row * step + step // 2
        sample = Image.new("RGB", (44 * _FINE, _TAG * _FINE), PAPER)
        across = [(0.0, sample.height / 2), (float(sample.width), sample.height / 2)]
        _draw_dashed(sample, across, line.hue)
        picture.paste(sample.resize((44, _TAG), Image.Resampling.LANCZOS), (x + _TAG + 6, middle - _TAG // 2))
        _draw_tag(picture, x, middle, line)
        write(picture, x + _TAG + 6 + 44 + 8, middle, text, size=SMALL_SIZE)
    return picture
