"""The ten things that stand in a scene, each as parts with signed distances, painted from back to front.

A thing stands on the origin, x to the right and y up, about 1 tall. Distances are in the same unit; they are
exact beside an outline, where an antialiased edge is drawn, and bounds elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum

import torch
from torch import Tensor

from sslterm.data.catalog import THINGS


class Paint(IntEnum):
    """Which of its colours a part has."""

    MAIN = 0
    PALE = 1
    """The main colour, paler."""
    SECOND = 2
    DARK = 3
    LIGHT = 4


Part = tuple[Tensor, Paint]
"""Signed distance [N, H, W], and the colour."""


def house(x: Tensor, y: Tensor) -> list[Part]:
    """Walls, gable roof, chimney, door and window."""
    return [
        (_box(x - 0.24, y - 0.80, 0.06, 0.16), Paint.DARK),
        (_box(x, y - 0.29, 0.38, 0.29), Paint.MAIN),
        (_wedge(x, y - 0.55, 0.50, 0.0, 0.45), Paint.SECOND),
        (_box(x + 0.16, y - 0.16, 0.09, 0.16), Paint.DARK),
        (_box(x - 0.16, y - 0.31, 0.10, 0.09), Paint.LIGHT),
    ]


def tree(x: Tensor, y: Tensor) -> list[Part]:
    """A trunk that forks, and a crown of three clouds of leaves."""
    crown = torch.minimum(
        torch.minimum(_disc(x, y - 0.72, 0.28), _disc(x + 0.22, y - 0.56, 0.21)),
        _disc(x - 0.22, y - 0.56, 0.21),
    )
    return [
        (torch.minimum(_wedge(x, y, 0.09, 0.05, 0.5), _line(x, y, (0, 0.25), (0.16, 0.5), 0.03)), Paint.DARK),
        (crown, Paint.MAIN),
        (_disc(x + 0.06, y - 0.78, 0.13), Paint.PALE),
    ]


def fir(x: Tensor, y: Tensor) -> list[Part]:
    """A short trunk under three tiers of branches."""
    return [
        (_box(x, y - 0.1, 0.05, 0.1), Paint.DARK),
        (_wedge(x, y - 0.14, 0.36, 0.06, 0.36), Paint.MAIN),
        (_wedge(x, y - 0.40, 0.28, 0.05, 0.32), Paint.PALE),
        (_wedge(x, y - 0.64, 0.20, 0.0, 0.36), Paint.MAIN),
    ]


def person(x: Tensor, y: Tensor) -> list[Part]:
    """Head and hair, a coat with arms, two legs."""
    legs = torch.minimum(
        _line(x, y, (-0.06, 0.42), (-0.11, 0.04), 0.055), _line(x, y, (0.06, 0.42), (0.11, 0.04), 0.055)
    )
    arms = torch.minimum(
        _line(x, y, (-0.10, 0.68), (-0.25, 0.42), 0.045), _line(x, y, (0.10, 0.68), (0.25, 0.46), 0.045)
    )
    return [
        (legs, Paint.SECOND),
        (torch.minimum(arms, _wedge(x, y - 0.36, 0.17, 0.12, 0.38)), Paint.MAIN),
        (_disc(x, y - 0.90, 0.115), Paint.DARK),
        (_disc(x, y - 0.86, 0.105), Paint.LIGHT),
    ]


def car(x: Tensor, y: Tensor) -> list[Part]:
    """A long body, a cabin with windows, two wheels; it faces the right."""
    wheels = torch.minimum(_disc(x + 0.30, y - 0.12, 0.12), _disc(x - 0.30, y - 0.12, 0.12))
    hubs = torch.minimum(_disc(x + 0.30, y - 0.12, 0.05), _disc(x - 0.30, y - 0.12, 0.05))
    windows = torch.minimum(
        _wedge(x + 0.16, y - 0.36, 0.13, 0.09, 0.16), _wedge(x - 0.13, y - 0.36, 0.13, 0.07, 0.16)
    )
    return [
        (_wedge(x + 0.03, y - 0.34, 0.37, 0.24, 0.24), Paint.MAIN),
        (_box(x, y - 0.25, 0.50, 0.09).sub_(0.04), Paint.MAIN),
        (windows, Paint.LIGHT),
        (_box(x, y - 0.21, 0.52, 0.03), Paint.SECOND),
        (wheels, Paint.DARK),
        (hubs, Paint.LIGHT),
    ]


def boat(x: Tensor, y: Tensor) -> list[Part]:
    """A hull, a mast and two sails; it sails to the right."""
    return [
        (_line(x, y, (0.0, 0.15), (0.0, 0.98), 0.025), Paint.DARK),
        (_triangle(x, y, (0.05, 0.28), (0.05, 0.97), (0.46, 0.28)), Paint.MAIN),
        (_triangle(x, y, (-0.05, 0.28), (-0.34, 0.28), (-0.05, 0.84)), Paint.LIGHT),
        (_wedge(x, y, 0.28, 0.48, 0.21), Paint.SECOND),
    ]


def lamp(x: Tensor, y: Tensor) -> list[Part]:
    """A street lamp: foot, post, an arm to the right and the shade that hangs from it."""
    post = torch.minimum(_line(x, y, (0.0, 0.0), (0.0, 0.90), 0.035), _wedge(x, y, 0.13, 0.07, 0.09))
    arm = torch.minimum(
        _line(x, y, (0.0, 0.90), (0.12, 0.97), 0.03), _line(x, y, (0.12, 0.97), (0.30, 0.95), 0.03)
    )
    return [
        (torch.minimum(post, arm), Paint.DARK),
        (_disc(x - 0.30, y - 0.76, 0.09), Paint.LIGHT),
        (_wedge(x - 0.30, y - 0.77, 0.20, 0.05, 0.18), Paint.MAIN),
    ]


def flower(x: Tensor, y: Tensor) -> list[Part]:
    """A stem with two leaves, and six petals around a heart."""
    petals = x.new_full((), math.inf)
    for number in range(6):
        angle = math.pi * (2 * number + 1) / 6
        petals = torch.minimum(
            petals, _disc(x - 0.19 * math.cos(angle), y - 0.72 - 0.19 * math.sin(angle), 0.115)
        )
    leaves = torch.minimum(
        _line(x, y, (0.0, 0.10), (0.20, 0.30), 0.055), _line(x, y, (0.0, 0.16), (-0.18, 0.34), 0.055)
    )
    return [
        (torch.minimum(leaves, _line(x, y, (0.0, 0.0), (0.0, 0.6), 0.03)), Paint.SECOND),
        (petals, Paint.MAIN),
        (_disc(x, y - 0.72, 0.12), Paint.LIGHT),
    ]


def mushroom(x: Tensor, y: Tensor) -> list[Part]:
    """A stout stem under a domed cap with spots."""
    dome = torch.maximum(_disc(x, y - 0.50, 0.46), 0.40 - y)
    spots = torch.minimum(
        torch.minimum(_disc(x + 0.20, y - 0.56, 0.075), _disc(x - 0.22, y - 0.60, 0.075)),
        _disc(x, y - 0.78, 0.085),
    )
    return [
        (_wedge(x, y, 0.17, 0.11, 0.48), Paint.LIGHT),
        (dome, Paint.MAIN),
        (spots, Paint.LIGHT),
    ]


def windmill(x: Tensor, y: Tensor) -> list[Part]:
    """A tower that tapers, a cap, and four sails."""
    sails = x.new_full((), math.inf)
    for number in range(4):
        angle = math.pi * (0.14 + number / 2)
        along, across = math.cos(angle), math.sin(angle)
        u, v = x * along + (y - 0.66) * across, (y - 0.66) * along - x * across
        sails = torch.minimum(sails, _box(u - 0.20, v - 0.03, 0.20, 0.045))
    return [
        (_wedge(x, y, 0.25, 0.13, 0.62), Paint.MAIN),
        (torch.maximum(_disc(x, y - 0.62, 0.15), 0.60 - y), Paint.DARK),
        (_box(x, y - 0.12, 0.06, 0.12), Paint.DARK),
        (sails, Paint.SECOND),
        (_disc(x, y - 0.66, 0.05), Paint.LIGHT),
    ]


Thing = Callable[[Tensor, Tensor], list[Part]]
DRAWN: tuple[Thing, ...] = (house, tree, fir, person, car, boat, lamp, flower, mushroom, windmill)
"""In the order of `catalog.THINGS`."""
assert tuple(thing.__name__ for thing in DRAWN) == THINGS

HEIGHTS = (1.0, 1.0, 1.0, 1.015, 0.58, 1.005, 1.0, 1.025, 0.96, 1.03)
"""Of each, to its highest point."""
HALF_WIDTHS = (0.5, 0.43, 0.36, 0.295, 0.54, 0.48, 0.5, 0.28, 0.46, 0.37)
"""Of each, from the middle to its farthest point on either side."""


def _disc(x: Tensor, y: Tensor, radius: float) -> Tensor:
    return torch.hypot(x, y).sub_(radius)


def _box(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    return torch.maximum(x.abs().sub_(half_width), y.abs().sub_(half_height))


def _wedge(x: Tensor, y: Tensor, bottom: float, top: float, height: float) -> Tensor:
    """Between y = 0 and `height`, as wide as 2 `bottom` there and 2 `top` here."""
    slope = (bottom - top) / height
    flank = (x.abs() + slope * y).sub_(bottom).div_(math.hypot(1, slope))
    return torch.maximum(flank, (y - height / 2).abs_().sub_(height / 2))


def _line(
    x: Tensor, y: Tensor, start: tuple[float, float], end: tuple[float, float], radius: float
) -> Tensor:
    """A line with round ends, 2 `radius` thick."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    px, py = x - start[0], y - start[1]
    along = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp_(0, 1)
    return torch.hypot(px - along * dx, py - along * dy).sub_(radius)


def _triangle(x: Tensor, y: Tensor, *corners: tuple[float, float]) -> Tensor:
    """Of three corners in either direction of rotation."""
    (ax, ay), (bx, by), (cx, cy) = corners
    sign = math.copysign(1, (bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
    result = x.new_full((), -math.inf)
    for (px, py), (qx, qy) in ((corners[0], corners[1]), (corners[1], corners[2]), (corners[2], corners[0])):
        nx, ny = sign * (qy - py), -sign * (qx - px)  # outward
        result = torch.maximum(result, ((x - px) * nx + (y - py) * ny).div_(math.hypot(nx, ny)))
    return result
