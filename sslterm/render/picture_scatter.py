"""Pictures of points: the class of each by its colour and its shape, which everybody can tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw

from sslterm.render.curve import Ranges
from sslterm.render.ink import PAPER
from sslterm.render.palette import categorical_on_paper, rgb
from sslterm.render.picture_charts import FINE, widened, with_axes, with_legend
from sslterm.render.scatter import class_names, points_of, spans
from sslterm.run.panels import Panel

_SIDE: Final = 640
_LEGEND_RADIUS: Final = 5.0


def _polygon(corners: int, turn: float, size: float) -> list[tuple[float, float]]:
    """Corners of a regular polygon, the first at `turn` turns to the right of the top."""
    angles = [2 * math.pi * (turn + corner / corners) for corner in range(corners)]
    return [(size * math.sin(angle), -size * math.cos(angle)) for angle in angles]


def _cross(turned: bool) -> list[tuple[float, float]]:
    thick, long = 0.42, 1.2
    plus = [
        (-thick, -long), (thick, -long), (thick, -thick), (long, -thick), (long, thick), (thick, thick),
        (thick, long), (-thick, long), (-thick, thick), (-long, thick), (-long, -thick), (-thick, -thick),
    ]  # fmt: skip
    half = math.sqrt(0.5)
    return [((x - y) * half, (x + y) * half) for x, y in plus] if turned else plus


_SHAPES: Final[Sequence[Sequence[tuple[float, float]]]] = (
    (),  # a circle
    _polygon(4, 1 / 8, 1.25),
    _polygon(3, 0, 1.35),
    _polygon(4, 0, 1.3),
    _cross(turned=False),
    _polygon(3, 1 / 2, 1.35),
    _cross(turned=True),
)
"""By class, around its place at radius 1, of about the same area; filled, and after the last one hollow.

Fourteen that differ without colour, and seventy with ten colours.
"""
_STROKE: Final = 4
"""Of hollow ones, in fine pixels."""


def scatter_picture(panel: Panel) -> tuple[Image.Image, str]:
    """Points in the colours and shapes of their classes, with axes and a legend."""
    points, classes = points_of(panel)
    side = _SIDE * FINE
    area = Image.new("RGB", (side, side), PAPER)
    draw = ImageDraw.Draw(area)
    (x_low, x_high), (y_low, y_high) = (widened(span) for span in spans(points))
    radius = (4.5 if len(points) <= 300 else 3.5 if len(points) <= 3000 else 2) * FINE
    across = (points[:, 0] - x_low) / (x_high - x_low) * (side - 1)
    down = (y_high - points[:, 1]) / (y_high - y_low) * (side - 1)
    for x, y, kind in zip(across.tolist(), down.tolist(), classes.tolist(), strict=True):
        _draw_mark(draw, kind, x, y, radius)
    area = area.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    ranges = Ranges((x_low, x_high), (y_low, y_high), log_y=False)
    picture = with_axes(area, ranges, panel.x_label, panel.y_label)
    names = class_names(panel, classes)
    entries = [(name, categorical_on_paper(kind)) for kind, name in names.items()]
    return with_legend(picture, entries, [mark(kind) for kind in names]), f"{len(points):,} points"


def _draw_mark(draw: ImageDraw.ImageDraw, kind: int, x: float, y: float, radius: float) -> None:
    turn, which = divmod(kind, len(_SHAPES))
    color, shape = rgb(categorical_on_paper(kind)), _SHAPES[which]
    fill, rim, width = color, PAPER, FINE
    if turn % 2:  # hollow, and a little smaller, as there is no rim of paper around it
        fill, rim, width, radius = PAPER, color, _STROKE, 0.85 * radius
    if shape:
        corners = [(x + radius * right, y + radius * below) for right, below in shape]
        draw.polygon(corners, fill=fill, outline=rim, width=width)
    else:
        draw.circle((x, y), radius, fill=fill, outline=rim, width=width)


def mark(kind: int) -> Image.Image:
    """The mark of a class, for the legend."""
    side = round(3 * _LEGEND_RADIUS)
    large = Image.new("RGB", (side * FINE, side * FINE), PAPER)
    middle = side * FINE / 2
    _draw_mark(ImageDraw.Draw(large), kind, middle, middle, _LEGEND_RADIUS * FINE)
    return large.resize((side, side), Image.Resampling.LANCZOS)
