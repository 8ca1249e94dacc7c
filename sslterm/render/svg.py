"""Lines over each other as SVG: an overlay of runs, for a page. Its names are the letters of the runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from sslterm.render.curve import Line, Plot, Ranges, ranges_of
from sslterm.render.palette import categorical_on_paper
from sslterm.render.picture_charts import ticks_of
from sslterm.render.picture_overlay import DASHES, Point, strokes_of
from sslterm.render.quantity import number

_WIDTH: Final = 460
_HEIGHT: Final = 200
"""Of the area between the axes."""
_LEFT: Final = 62
_RIGHT: Final = 26
_ABOVE: Final = 12
_BELOW: Final = 40
_FEW: Final = 40
"""Lines of no more points show them."""


def overlay_svg(plot: Plot, names: Mapping[str, str]) -> str:
    """A plot as an `<svg>`; pointing at a line tells whose it is.

    Args:
        names: of the runs, by the names of the plot's lines.
    """
    ranges = ranges_of(plot)
    size = f"{_LEFT + _WIDTH + _RIGHT} {_ABOVE + _HEIGHT + _BELOW}"
    title = " · ".join((plot.title, *plot.notes))
    parts = [f'<svg viewBox="0 0 {size}" role="img" aria-label="{escape(title)}">']
    if ranges is None:
        parts.append(f'<text x="{_LEFT}" y="{_ABOVE + 20}">no values</text></svg>')
        return "".join(parts)
    parts += _axes(plot, ranges)
    for line in reversed(plot.lines):
        parts += _line(line, ranges, names.get(line.name, line.name))
    return "".join(parts) + "</svg>"


def _axes(plot: Plot, ranges: Ranges) -> Iterator[str]:
    across, downwards = ticks_of(ranges)
    for place, name in downwards:
        y = _ABOVE + place * _HEIGHT
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}h{_WIDTH}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>'
    for place, name in across:
        x, y = _LEFT + place * _WIDTH, _ABOVE + _HEIGHT
        yield f'<path class="tick" d="M{x:.1f} {y}v4"/>'
        yield f'<text x="{x:.1f}" y="{y + 17}" text-anchor="middle">{escape(name)}</text>'
    yield f'<path class="axis" d="M{_LEFT} {_ABOVE}v{_HEIGHT}h{_WIDTH}"/>'
    middle = _LEFT + _WIDTH / 2
    yield f'<text x="{middle}" y="{_ABOVE + _HEIGHT + 34}" text-anchor="middle">{escape(plot.x_label)}</text>'


def _line(line: Line, ranges: Ranges, name: str) -> Iterator[str]:
    color = f"#{categorical_on_paper(line.hue):06x}"
    strokes, *behind = (
        strokes_of(line, values, ranges, (_WIDTH + 1, _HEIGHT + 1)) for values in reversed(line.drawn)
    )
    if not strokes:
        return
    dashes = " ".join(str(length) for length in DASHES[line.hue % len(DASHES)])
    at = line.best_point()
    last = (
        f"; last {number(float(line.y[-1]))}" if at is None else f"; {line.best} {number(float(line.y[at]))}"
    )
    yield f'<g stroke="{color}" fill="{color}"><title>{escape(name + last)}</title>'
    for stroke in (stroke for part in behind for stroke in part):
        yield f'<path class="behind" d="{_path(stroke)}"/>'
    for stroke in strokes:
        yield (
            f'<path class="line" d="{_path(stroke)}"'
            + (f' stroke-dasharray="{dashes}"' if dashes else "")
            + "/>"
        )
        if len(line.x) <= _FEW:
            yield from (f'<circle cx="{_LEFT + x:.1f}" cy="{_ABOVE + y:.1f}" r="2.2"/>' for x, y in stroke)
    x, y = _LEFT + strokes[-1][-1][0], _ABOVE + strokes[-1][-1][1]
    yield f'<text class="letter" x="{x + 6:.1f}" y="{y + 4:.1f}" stroke="none">{escape(line.name)}</text></g>'


def _path(stroke: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_LEFT + x:.1f} {_ABOVE + y:.1f}" for x, y in stroke)
