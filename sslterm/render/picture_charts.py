"""Pictures made of marks on axes: curves and bars; drawn three times as large and reduced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sslterm.render.bars import bar_names, bar_range
from sslterm.render.curve import Line, Plot, Ranges, ranges_of, x_ticks
from sslterm.render.envelope import column_edges, drawable, envelope
from sslterm.render.ink import (
    FAINT,
    INK,
    PAPER,
    RULE,
    SMALL_SIZE,
    TEXT_SIZE,
    Color,
    line_height,
    shortened,
    text_size,
    write,
    write_upwards,
)
from sslterm.render.legend import BEST, TIME
from sslterm.render.palette import categorical_on_paper, rgb
from sslterm.render.quantity import column, linear_ticks, log_ticks, number, tick_labels
from sslterm.run.panels import Panel

_WIDTH: Final = 860
_HEIGHT: Final = 420
FINE: Final = 3
"""How many times larger marks are drawn before they are reduced."""
_MOST_NAMED_BARS: Final = 48


def plot_picture(plot: Plot, width: int = _WIDTH, height: int = _HEIGHT) -> Image.Image:
    """Lines with axes and a legend: an area of `width` x `height` pixels and what stands around it."""
    ranges = ranges_of(plot)
    if ranges is None:
        picture = Image.new("RGB", (width, height), PAPER)
        write(picture, width / 2, height / 2, "no values", color=FAINT, anchor="mm")
        return picture
    ranges = _with_margins(ranges, plot)
    area = Image.new("RGB", (width * FINE, height * FINE), PAPER)
    draw_grid(area, ranges)
    for line in reversed(plot.lines):
        if len(line.drawn) > 1:
            _draw_values(area, line, line.y, ranges, color=behind_on_paper(line.hue), wide=1)
    for line in reversed(plot.lines):
        _draw_values(area, line, line.strong, ranges, color=rgb(categorical_on_paper(line.hue)), wide=2)
    for line in reversed(plot.lines):
        _mark_best(area, line, ranges)
    y_label = (f"{plot.unit} (log)" if plot.unit else "log scale") if ranges.log_y else plot.unit
    x_label = f"{plot.x_label} (log)".strip() if ranges.log_x else plot.x_label
    area = area.resize((width, height), Image.Resampling.LANCZOS)
    entries: list[tuple[str, int | None]] = [
        (_entry(line), categorical_on_paper(line.hue)) for line in plot.lines if line.name
    ]
    if plot.notes:
        entries.append((" · ".join(plot.notes), None))
    return with_legend(with_axes(area, ranges, x_label, y_label), entries)


def _with_margins(ranges: Ranges, plot: Plot) -> Ranges:
    """The ranges with room for marks above and below, where the ends of y are not given."""
    low, high = widened(ranges.y)
    y = ranges.y[0] if plot.low is not None else low, ranges.y[1] if plot.high is not None else high
    return replace(ranges, y=y)


def behind_on_paper(hue: int) -> Color:
    """The colour of values behind their average: that of the line, nearly as light as the paper."""
    red, green, blue = (
        round(0.3 * ink + 0.7 * paper)
        for ink, paper in zip(rgb(categorical_on_paper(hue)), PAPER, strict=True)
    )
    return red, green, blue


def _entry(line: Line) -> str:
    """What the legend says of a line: its name, and its best value where one is known."""
    at = line.best_point()
    if at is None or line.best is None:
        return line.name
    return f"{line.name} · {line.best} {number(float(line.y[at]))}"


def _mark_best(area: Image.Image, line: Line, ranges: Ranges) -> None:
    """A ring around the best value, where that is shown."""
    at = line.best_point()
    if at is None or line.best not in BEST:
        return
    across, upwards = ranges.across(float(line.x[at])), ranges.upwards(float(line.y[at]))
    if 0 <= across <= 1 and 0 <= upwards <= 1:
        place = across * (area.width - 1), (1 - upwards) * (area.height - 1)
        color = rgb(categorical_on_paper(line.hue))
        ImageDraw.Draw(area).circle(place, 5 * FINE, fill=PAPER, outline=color, width=2 * FINE)


def ticks_of(
    ranges: Ranges, *, time: bool = False
) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    """Places as shares of the axes, from the left and from the top, with their names; x may be of times."""
    (x_low, x_high), (low, high) = ranges.x, ranges.y
    if ranges.log_y:
        values = log_ticks(10.0**low, 10.0**high, 7)
        places = [float(np.log10(value)) for value in values]
    else:
        values = places = linear_ticks(low, high, 7)
    across = [((tick - x_low) / (x_high - x_low), name) for tick, name in x_ticks(ranges, 8, time=time)]
    downwards = [(high - place) / (high - low) for place in places]
    return across, list(zip(downwards, tick_labels(values, log=ranges.log_y), strict=True))


def draw_grid(area: Image.Image, ranges: Ranges) -> None:
    draw = ImageDraw.Draw(area)
    for place, _ in ticks_of(ranges)[1]:
        y = place * (area.height - 1)
        draw.line((0, y, area.width, y), fill=(235, 236, 239), width=FINE)


def _draw_values(
    area: Image.Image, line: Line, values: NDArray[Any], ranges: Ranges, *, color: Color, wide: int
) -> None:
    """Values [N] of a line in strokes `wide` pixels wide; as a range a column where there are many."""
    draw = ImageDraw.Draw(area)
    low, high = ranges.y
    scale = (area.height - 1) / (high - low)
    if len(line.x) > area.width // FINE:
        edges = column_edges(*ranges.x, area.width // FINE, log=ranges.log_x)
        least, most = envelope(line.x, values, edges, log_y=ranges.log_y, log_x=ranges.log_x)
        for place in np.flatnonzero(np.isfinite(least)):
            top, bottom = (high - most[place]) * scale, (high - least[place]) * scale
            x = FINE * int(place)
            draw.line((x, float(top) - FINE, x, float(bottom) + FINE), fill=color, width=wide * FINE)
        return
    y = drawable(np.asarray(values, dtype=np.float64), positive=ranges.log_y)
    y = np.log10(y) if ranges.log_y else y
    across = np.array([ranges.across(float(x)) for x in line.x]) * (area.width - 1)
    known = np.isfinite(y) & np.isfinite(across)
    for stretch in np.split(np.arange(len(y)), np.flatnonzero(~known)):
        points = [(float(across[i]), float((high - y[i]) * scale)) for i in stretch if known[i]]
        if len(points) > 1:
            draw.line(points, fill=color, width=wide * FINE, joint="curve")
        if len(points) == 1 or len(y) <= 40:
            for point in points:
                draw.circle(point, (1 + wide) * FINE, fill=color)


def with_axes(area: Image.Image, ranges: Ranges, x_label: str, y_label: str) -> Image.Image:
    """`area` with ticks, their names and labels at the left and below."""
    x_ticks, y_ticks = ticks_of(ranges, time=x_label.removesuffix(" (log)") == TIME)
    label = line_height(TEXT_SIZE) + 4
    left = max(text_size(name, SMALL_SIZE)[0] for _, name in y_ticks) + 12 + (label if y_label else 0)
    below = line_height(SMALL_SIZE) + 8 + (label if x_label else 0)
    above = line_height(SMALL_SIZE) // 2 + 2
    right = max([24, *(text_size(name, SMALL_SIZE)[0] // 2 + 2 for name in ranges.points[-1:])])
    picture = Image.new("RGB", (left + area.width + right, above + area.height + below), PAPER)
    picture.paste(area, (left, above))
    draw = ImageDraw.Draw(picture)
    bottom = above + area.height
    draw.line((left - 1, above, left - 1, bottom, left + area.width, bottom), fill=FAINT)
    for place, name in x_ticks:
        x = left + place * (area.width - 1)
        draw.line((x, bottom, x, bottom + 4), fill=FAINT)
        write(
            picture,
            x,
            bottom + 6 + line_height(SMALL_SIZE) / 2,
            name,
            size=SMALL_SIZE,
            color=FAINT,
            anchor="mm",
        )
    for place, name in y_ticks:
        y = above + place * (area.height - 1)
        draw.line((left - 5, y, left - 1, y), fill=FAINT)
        write(picture, left - 9, y, name, size=SMALL_SIZE, color=FAINT, anchor="rm")
    if x_label:
        write(picture, left + area.width / 2, picture.height - label / 2, x_label, anchor="mm")
    if y_label:
        write_upwards(picture, label / 2, above + area.height / 2, y_label)
    return picture


def with_legend(
    picture: Image.Image, entries: Sequence[tuple[str, int | None]], signs: Sequence[Image.Image] = ()
) -> Image.Image:
    """`picture` under a legend of colours and names, in as many rows as it needs; a note has no colour.

    Args:
        signs: in place of colours.
    """
    if not entries:
        return picture
    places: list[tuple[int, int]] = []
    x, row = 0, 0
    for name, _ in entries:
        wide = 22 + text_size(name, SMALL_SIZE)[0] + 18
        if x and x + wide > picture.width:
            x, row = 0, row + 1
        places.append((x, row))
        x += wide
    height = line_height(SMALL_SIZE) + 2
    above = (row + 1) * height + 6
    taller = Image.new("RGB", (picture.width, picture.height + above), PAPER)
    taller.paste(picture, (0, above))
    for entry, ((x, row), (name, color)) in enumerate(zip(places, entries, strict=True)):
        y = row * height + height / 2
        if color is None:
            write(taller, x, y, name, size=SMALL_SIZE, color=FAINT)
            continue
        if signs:
            sign = signs[entry]
            taller.paste(sign, (x + 7 - sign.width // 2, round(y) - sign.height // 2))
        else:
            ImageDraw.Draw(taller).rectangle((x, y - 5, x + 14, y + 5), fill=rgb(color))
        write(taller, x + 22, y, name, size=SMALL_SIZE)
    return taller


def widened(span: tuple[float, float]) -> tuple[float, float]:
    """A range with room for marks at its ends."""
    margin = 0.03 * (span[1] - span[0])
    return span[0] - margin, span[1] + margin


def bars_picture(panel: Panel) -> tuple[Image.Image, str]:
    """Lying bars with names and values, or standing ones where there are too many to name."""
    return (_lying(panel) if len(panel.array) <= _MOST_NAMED_BARS else _standing(panel)), ""


def _lying(panel: Panel) -> Image.Image:
    names = [shortened(name, 240, SMALL_SIZE) for name in bar_names(panel)]
    values = column([float(value) for value in panel.array])
    left = max(text_size(name, SMALL_SIZE)[0] for name in names) + 10
    right = max(text_size(value, SMALL_SIZE)[0] for value in values) + 12
    step, wide = 24, 560
    picture = Image.new("RGB", (left + wide + right, step * len(names) + (28 if panel.x_label else 0)), PAPER)
    draw = ImageDraw.Draw(picture)
    low, high = bar_range(panel)
    zero = left + float(np.clip(-low / (high - low), 0, 1)) * wide
    for row, (name, text, value) in enumerate(zip(names, values, panel.array, strict=True)):
        middle = row * step + step / 2
        write(picture, left - 8, middle, name, size=SMALL_SIZE, anchor="rm")
        write(picture, picture.width, middle, text, size=SMALL_SIZE, color=FAINT, anchor="rm")
        if np.isfinite(value):
            end = left + float(np.clip((value - low) / (high - low), 0, 1)) * wide
            start, stop = sorted((round(zero), round(end)))
            color = rgb(categorical_on_paper(0 if value >= 0 else 1))
            draw.rectangle((start, middle - 8, stop, middle + 7), fill=color)
    draw.line((zero, 0, zero, step * len(names)), fill=RULE if low == 0 else INK)
    if panel.x_label:
        write(picture, left + wide / 2, picture.height - 12, panel.x_label, anchor="mm")
    return picture


def _standing(panel: Panel) -> Image.Image:
    low, high = bar_range(panel)
    each = max(_WIDTH // len(panel.array), 1)
    width = each * min(len(panel.array), _WIDTH)
    pooled = np.fmax.reduceat(panel.array, np.arange(0, len(panel.array), -(-len(panel.array) // _WIDTH)))
    area = Image.new("RGB", (width, _HEIGHT), PAPER)
    draw = ImageDraw.Draw(area)
    zero = float(np.clip(high / (high - low), 0, 1)) * (_HEIGHT - 1)
    for place, value in enumerate(pooled):
        if np.isfinite(value):
            y = float(np.clip((high - value) / (high - low), 0, 1)) * (_HEIGHT - 1)
            color = rgb(categorical_on_paper(0 if value >= 0 else 1))
            box = (place * each, min(y, zero), (place + 1) * each - (2 if each > 3 else 1), max(y, zero))
            draw.rectangle(box, fill=color)
    ranges = Ranges((0.0, float(len(panel.array))), (low, high), log_y=False)
    return with_axes(area, ranges, panel.x_label, panel.y_label)
