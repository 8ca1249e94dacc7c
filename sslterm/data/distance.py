"""Signed distances to the ten shapes: negative inside, in units of the shape's circumradius.

Every shape has its centroid at the origin and its farthest point at distance 1; y points up. Formulas after
Inigo Quilez, "2D distance functions" (https://iquilezles.org/articles/distfunctions2d); distances are exact
outside and near the outline, which is where an antialiased edge is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sslterm.data.catalog import SHAPES


def disc(x: Tensor, y: Tensor) -> Tensor:
    """The whole unit circle."""
    return torch.hypot(x, y) - 1


def ring(x: Tensor, y: Tensor) -> Tensor:
    """Between radius 0.55 and 1."""
    return (torch.hypot(x, y) - 0.775).abs_() - 0.225


def square(x: Tensor, y: Tensor) -> Tensor:
    """Sides parallel to the axes."""
    return _box(x, y, math.sqrt(0.5), math.sqrt(0.5))


def triangle(x: Tensor, y: Tensor) -> Tensor:
    """Equilateral, one corner up."""
    root3 = math.sqrt(3)
    half = root3 / 2  # half a side
    px, py = x.abs() - half, y + half / root3
    folded = px + root3 * py > 0
    px, py = torch.where(folded, (px - root3 * py) / 2, px), torch.where(folded, (-root3 * px - py) / 2, py)
    px = px - px.clamp(-2 * half, 0)
    return -torch.hypot(px, py) * torch.sign(py)


def star(x: Tensor, y: Tensor) -> Tensor:
    """Five points, one of them up; inner corners at radius 0.45."""
    cos, sin = math.cos(math.pi / 5), math.sin(math.pi / 5)
    px, py = x.abs(), y
    for nx, ny in ((cos, -sin), (-cos, -sin)):
        inward = 2 * (nx * px + ny * py).clamp_min_(0)
        px, py = px - inward * nx, py - inward * ny
    px, py = px.abs_(), py - 1
    edge_x, edge_y = 0.45 * sin, 0.45 * cos - 1  # from the point to the inner corner beside it
    along = ((px * edge_x + py * edge_y) / (edge_x**2 + edge_y**2)).clamp_(0, 1)
    return torch.hypot(px - edge_x * along, py - edge_y * along) * torch.sign(py * edge_x - px * edge_y)


def plus(x: Tensor, y: Tensor) -> Tensor:
    """Two crossed bars, a third as wide as long."""
    long = 3 / math.sqrt(10)
    return torch.minimum(_box(x, y, long, long / 3), _box(x, y, long / 3, long))


def heart(x: Tensor, y: Tensor) -> Tensor:
    """Tip down."""
    scale, centre = 0.65660, 0.65660
    px, py = (x * scale).abs_(), y * scale + centre
    lobe = torch.hypot(px - 0.25, py - 0.75) - math.sqrt(2) / 4
    half = (px + py).clamp_min_(0) / 2
    flank = torch.minimum(torch.hypot(px, py - 1), torch.hypot(px - half, py - half)) * torch.sign(px - py)
    return torch.where(px + py > 1, lobe, flank) / scale


def crescent(x: Tensor, y: Tensor) -> Tensor:
    """A moon, open to the right: a circle less a smaller one."""
    scale, centre = 1.23941, -0.32426
    inner, shift = 0.75, 0.6
    px, py = x * scale + centre, (y * scale).abs_()
    tip_x = (1 - inner**2 + shift**2) / (2 * shift)
    tip_y = math.sqrt(1 - tip_x**2)
    at_tip = px * tip_y - py * tip_x > shift * (tip_y - py).clamp_min(0)
    arc = torch.maximum(torch.hypot(px, py) - 1, inner - torch.hypot(px - shift, py))
    return torch.where(at_tip, torch.hypot(px - tip_x, py - tip_y), arc) / scale


def letter_l(x: Tensor, y: Tensor) -> Tensor:
    """A stem of 0.6 x 1.6 and a foot of 1.1 x 0.6, before scaling."""
    scale = 1.01508
    px, py = x * scale + 0.43095, y * scale + 0.68095
    stem, foot = _box(px - 0.3, py - 0.8, 0.3, 0.8), _box(px - 0.55, py - 0.3, 0.55, 0.3)
    return torch.minimum(stem, foot).div_(scale)


def letter_t(x: Tensor, y: Tensor) -> Tensor:
    """A bar of 1.5 x 0.5 on a stem of 0.5 x 1, before scaling."""
    scale = 0.98234
    px, py = x * scale, y * scale + 0.95
    bar, stem = _box(px, py - 1.25, 0.75, 0.25), _box(px, py - 0.75, 0.25, 0.75)
    return torch.minimum(bar, stem).div_(scale)


def _box(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    dx, dy = x.abs().sub_(half_width), y.abs().sub_(half_height)
    inside = torch.maximum(dx, dy).clamp_max_(0)
    return torch.hypot(dx.clamp_min_(0), dy.clamp_min_(0)).add_(inside)


Distance = Callable[[Tensor, Tensor], Tensor]
DISTANCES: tuple[Distance, ...] = (
    disc, ring, square, triangle, star, plus, heart, crescent, letter_l, letter_t
)  # fmt: skip
"""In the order of `catalog.SHAPES`."""
assert len(DISTANCES) == len(SHAPES)

AREAS = (3.142, 2.191, 2.000, 1.299, 1.322, 2.000, 2.070, 1.181, 1.223, 1.297)
"""Of each, in squared circumradii."""


def distance(shape: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance to a shape of its own for every row.

    Args:
        shape: int64 [N], positions in `catalog.SHAPES`.
        x, y: [N, ...], in circumradii.

    Returns:
        [N, ...], in circumradii.
    """
    result = torch.empty_like(x)
    for number, function in enumerate(DISTANCES):
        rows = (shape == number).nonzero().squeeze(1)
        if len(rows):
            result[rows] = function(x[rows], y[rows])
    return result
