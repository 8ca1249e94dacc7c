"""Paths between codes: straight lines, and arcs of great circles."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor

PathKind = Literal["linear", "spherical"]

_NO_ANGLE = 1e-4
"""Radians to 0 or to half a turn within which a great circle is not determined in float64."""


def default_path(prior: str, dimensions: int) -> PathKind:
    """Spherical where codes are standard normal in more than two dimensions, else linear.

    There nearly all of the prior lies close to a sphere of radius sqrt(D); a straight line between two of its
    draws passes through its middle, where a decoder was hardly trained (White 2016, arXiv:1609.04468).
    """
    return "spherical" if prior == "normal" and dimensions > 2 else "linear"


def path_between(start: Tensor, end: Tensor, share: Tensor, kind: PathKind) -> Tensor:
    """Points of a path at shares of it: [D], [D], [S] in [0, 1] -> [S, D] float64; both ends are exact.

    Spherical: Shoemake's slerp (1985), sin((1 - t) a) / sin a * start + sin(t a) / sin a * end with the angle
    a between the two. It is the straight line where that is 0 or an end is the origin. Of opposite codes,
    which lie on many great circles, it takes the one through the dimension that they point along least.
    """
    a, b = start.double(), end.double()
    t = share.double().unsqueeze(1)
    if kind == "spherical":
        lengths = float(a.norm() * b.norm())
        angle = math.acos(min(max(float(a @ b) / lengths, -1.0), 1.0)) if lengths > 0 else 0.0
        if angle > math.pi - _NO_ANGLE:
            return _over_a_pole(a, b, t)
        if angle > _NO_ANGLE:
            path = ((1 - t) * angle).sin() / math.sin(angle) * a + (t * angle).sin() / math.sin(angle) * b
            return _with_ends(path, a, b, t)
    return _with_ends((1 - t) * a + t * b, a, b, t)


def _over_a_pole(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Half a turn from `a` to `b`, opposite to it; the length goes evenly from the one's to the other's."""
    pole = torch.zeros_like(a)
    pole[a.abs().argmin()] = 1.0
    along = a / a.norm()
    pole = pole - (pole @ along) * along
    pole = pole / pole.norm() if len(a) > 1 else pole
    length = (1 - t) * a.norm() + t * b.norm()
    path = length * ((t * math.pi).cos() * along + (t * math.pi).sin() * pole)
    return _with_ends(path, a, b, t)


def _with_ends(path: Tensor, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return torch.where(t <= 0, a, torch.where(t >= 1, b, path))


def path_through(points: Tensor, steps: int, kind: PathKind) -> Tensor:
    """From each of K points to the next in `steps` codes, both ends included: [K, D] -> [K - 1, steps, D]."""
    share = torch.linspace(0, 1, steps, dtype=torch.float64, device=points.device)
    legs = [path_between(a, b, share, kind) for a, b in itertools.pairwise(points)]
    return torch.stack(legs)
