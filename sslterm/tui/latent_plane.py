"""Where one is in a latent space: which code a place on the plane means, and which place a code has.

A plane is spanned by two directions at right angles. Everything here is float64 and knows no screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslterm.run.packed import unpack

Code = NDArray[np.float64]
"""[D]"""

LOW, HIGH = 0.01, 0.99
"""Quantiles between which a plane lies."""
_NORMAL = NormalDist()


@dataclass(frozen=True, eq=False)
class Axis:
    """A direction, and how the plane's places along it are spaced.

    Attributes:
        name: e.g. "z17".
        vector: [D] of length 1 (or 0: a direction that there is not).
        quantiles: of the codes' coordinates at even shares from 0 to 1; None: they are standard normal.
    """

    name: str
    vector: Code
    quantiles: NDArray[np.float64] | None

    def coordinate(self, place: float) -> float:
        """The coordinate at a place: 0 is the quantile 0.01, 1 is 0.99.

        Between them places are even in probability under a normal prior, and even in the coordinate itself
        where codes say how far the axis reaches.
        """
        if self.quantiles is None:
            return _NORMAL.inv_cdf(min(max(LOW + (HIGH - LOW) * place, 1e-12), 1 - 1e-12))
        low, high = self.ends
        return low + (high - low) * place

    def place(self, coordinate: float) -> float:
        """Where a coordinate lies: the inverse of `coordinate`; below 0 or above 1 off the plane."""
        if self.quantiles is None:
            return (_NORMAL.cdf(coordinate) - LOW) / (HIGH - LOW)
        low, high = self.ends
        return (coordinate - low) / (high - low) if high > low else 0.5

    def quantile(self, coordinate: float) -> float:
        """The share of the prior, or of the codes, that lies below a coordinate."""
        if self.quantiles is None:
            return _NORMAL.cdf(coordinate)
        shares = np.linspace(0, 1, len(self.quantiles))
        return float(np.interp(coordinate, self.quantiles, shares))

    @property
    def ends(self) -> tuple[float, float]:
        """The coordinates at the quantiles 0.01 and 0.99."""
        if self.quantiles is None:
            return _NORMAL.inv_cdf(LOW), _NORMAL.inv_cdf(HIGH)
        low, high = np.interp((LOW, HIGH), np.linspace(0, 1, len(self.quantiles)), self.quantiles)
        return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Plane:
    """Two directions, x to the right and y upwards."""

    x: Axis
    y: Axis

    def place(self, z: Code) -> tuple[float, float]:
        """Where a code lies on the plane through it."""
        return self.x.place(float(z @ self.x.vector)), self.y.place(float(z @ self.y.vector))

    def move(self, z: Code, x: float, y: float) -> Code:
        """The code at the place (x, y) of the plane through `z`: all that is across the plane stays."""
        for axis, place in ((self.x, x), (self.y, y)):
            z = z + (axis.coordinate(place) - float(z @ axis.vector)) * axis.vector
        return z

    def grid(self, z: Code, steps: int) -> NDArray[np.float64]:
        """Codes at steps x steps even places of the plane through `z`, row by row from the top, [steps^2, D]."""
        places = np.linspace(0, 1, steps) if steps > 1 else np.array([0.5])
        base = z - float(z @ self.x.vector) * self.x.vector - float(z @ self.y.vector) * self.y.vector
        across = np.array([self.x.coordinate(place) for place in places])
        up = np.array([self.y.coordinate(place) for place in places[::-1]])
        rows = up[:, None, None] * self.y.vector + across[None, :, None] * self.x.vector
        return np.asarray((base + rows).reshape(steps * steps, -1))


@dataclass(frozen=True, eq=False)
class Space:
    """A latent space as a worker describes it.

    Attributes:
        prior: "normal" or "none".
        origin: the middle.
        families: directions by kind, "dimensions" and perhaps "principal", the most important first.
        orders: what each family is ordered by.
        codes: how many codes of images say this; 0: nothing encodes into this space.
        shape: (C, H, W) of an image.
    """

    dimensions: int
    prior: str
    origin: Code
    families: Mapping[str, tuple[Axis, ...]]
    orders: Mapping[str, str]
    codes: int
    shape: tuple[int, int, int]

    def draw(self, seed: int) -> Code:
        """A code from the normal prior."""
        return np.random.default_rng(seed).standard_normal(self.dimensions)


def read_space(told: Mapping[str, Any]) -> Space:
    """What a worker says of a space.

    Raises:
        ValueError, KeyError, TypeError: it says something else.
    """
    families = {name: _axes(family) for name, family in told["families"].items()}
    return Space(
        dimensions=int(told["dimensions"]),
        prior=str(told["prior"]),
        origin=unpack(told["origin"]).astype(np.float64),
        families=families,
        orders={name: str(family["order"]) for name, family in told["families"].items()},
        codes=int(told["codes"]),
        shape=(int(told["shape"][0]), int(told["shape"][1]), int(told["shape"][2])),
    )


def _axes(family: Mapping[str, Any]) -> tuple[Axis, ...]:
    vectors = unpack(family["vectors"]).astype(np.float64)
    packed = family["quantiles"]
    quantiles = None if packed is None else unpack(packed).astype(np.float64)
    axes = [
        Axis(str(name), vectors[i], None if quantiles is None else quantiles[i])
        for i, name in enumerate(family["names"])
    ]
    if len(axes) == 1:  # a line: its plane has a second direction in which nothing changes
        axes.append(Axis("", np.zeros_like(vectors[0]), None))
    return tuple(axes)


def next_direction(current: int, other: int, by: int, count: int) -> int:
    """The direction `by` (1 or -1) places further, going round, that is not the other axis's."""
    if count <= 2:  # nothing else to choose
        return current
    chosen = (current + by) % count
    return (chosen + by) % count if chosen == other else chosen


def step_place(place: float, by: float, steps: int) -> float:
    """A place `by` grid steps further, within the plane.

    Whole steps end on the grid: from between two of its lines, the first of them goes to the nearest line.
    """
    at = place * (steps - 1)
    if by == int(by):
        at = math.floor(at + 1e-6) + by if by > 0 else math.ceil(at - 1e-6) + by
    else:
        at += by
    return min(max(at, 0.0), steps - 1.0) / (steps - 1)


def field_steps(image: tuple[int, int], width: int, height: int) -> int:
    """How many images a side of the plane has in `width` x `height` pixels, a gap of one between them.

    The number is odd, so that one of them is the middle.

    Args:
        image: height and width of an image.
    """
    tall, wide = image
    smallest = min(max(-(-tall // 3), 7), 10, max(tall, 1))
    across = max(round(smallest * wide / tall), 1)
    most = min((height + 1) // (smallest + 1), (width + 1) // (across + 1), 21)
    return max(most - (most % 2 == 0), 3)
