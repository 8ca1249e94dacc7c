"""Lines over a pair of axes, as data: what the axes span, what stands where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from sslterm.render.envelope import LARGEST, SMALLEST, crossings, drawable, first_at

_FLAT: Final = 1e-12
"""Relative difference up to which values count as equal."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: x [N] not falling, y [N]; NaN is a gap.

    Attributes:
        hue: chooses its colour, and its dashes where there is no colour.
        smooth: [N], what is drawn in its place.
        behind: whether `y` is drawn as a band behind `smooth`.
        best: which value is the best one, and marked.
        dashed: whether it is dashed in colour as well.
        level: whether it is one value, drawn from end to end, so that its points are nowhere in particular.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    hue: int = 0
    smooth: NDArray[Any] | None = None
    behind: bool = True
    best: Literal["min", "max"] | None = None
    dashed: bool = False
    level: bool = False

    @property
    def strong(self) -> NDArray[Any]:
        """[N], what is drawn in front: smoothed values where there are any."""
        return self.y if self.smooth is None else self.smooth

    @property
    def drawn(self) -> tuple[NDArray[Any], ...]:
        """[N] each, what is drawn of it: in front, and behind where something is."""
        return (self.y, self.smooth) if self.smooth is not None and self.behind else (self.strong,)

    def best_point(self) -> int | None:
        """The place in the arrays of the best value; None where that is not known."""
        if self.best is None or not len(self.y):
            return None
        at = int(self.y.argmin() if self.best == "min" else self.y.argmax())
        if np.isfinite(self.y[at]):  # the first NaN or infinity is found before any number
            return at
        finite = np.isfinite(self.y)
        if not finite.any():
            return None
        y = np.where(finite, self.y, np.inf if self.best == "min" else -np.inf)
        return int(y.argmin() if self.best == "min" else y.argmax())

    def nearest_point(self, place: float, *, log_x: bool = False) -> int | None:
        """The place in the arrays of the point nearest to a place on the axis; None of an empty line."""
        if not len(self.x):
            return None
        after = int(first_at(self.x, np.array([place]))[0])
        if after == len(self.x):
            return after - 1
        if after == 0:
            return 0
        before, beyond = float(self.x[after - 1]), float(self.x[after])
        if log_x:
            return after - 1 if before > 0 and place * place <= before * beyond else after
        return after - 1 if place - before <= beyond - place else after

    def read_at(self, place: float, *, log_x: bool = False) -> int | None:
        """The nearest point, as `nearest_point`; None where the line is over, or has not begun.

        That is further from its ends than its points mostly are from each other.
        """
        at = self.nearest_point(place, log_x=log_x)
        if at is None or self.level:
            return at
        first, last = float(self.x[0]), float(self.x[-1])
        apart = (last - first) / max(len(self.x) - 1, 1)
        return at if first - apart <= place <= last + apart else None

    def next_place(self, place: float, direction: int) -> float | None:
        """The place of the next point to the right (1) or to the left (-1); None where there is none."""
        if self.level:
            return None
        if direction > 0:
            at = int(first_at(self.x, np.array([np.nextafter(place, np.inf)]))[0])
        else:
            at = int(first_at(self.x, np.array([place]))[0]) - 1
        return float(self.x[at]) if 0 <= at < len(self.x) else None


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Lines over one pair of axes; the first line is drawn on top.

    Attributes:
        unit: of y.
        low, high: range of y; None takes that of what is visible.
        x_range: range of x, which cuts off what is beyond; None takes the data's own.
        steady: whether the range of y is rounded outwards, so that it rarely changes as the data grows.
        cursor: the place on the axis that is read off.
        notes: what stands after the title.
        points: names of the places 0, 1, ... on the axis of x, where they are no numbers.
    """

    title: str
    lines: tuple[Line, ...]
    unit: str = ""
    x_label: str = ""
    log_y: bool = False
    log_x: bool = False
    low: float | None = None
    high: float | None = None
    x_range: tuple[float, float] | None = None
    steady: bool = False
    cursor: float | None = None
    notes: tuple[str, ...] = ()
    points: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranges:
    """What the axes span; logarithms to base 10 of y where `log_y`, of x where `log_x`; names of points on x."""

    x: tuple[float, float]
    y: tuple[float, float]
    log_y: bool
    log_x: bool = False
    points: tuple[str, ...] = ()

    def across(self, place: float) -> float:
        """A place on the axis of x as a share of it: 0 at its left end, 1 at its right end; NaN where it has none."""
        return _share(place, self.x, log=self.log_x)

    def upwards(self, value: float) -> float:
        """A value as a share of the axis of y: 0 at its lower end, 1 at its upper end; NaN where it has none."""
        return _share(value, self.y, log=self.log_y)


def _share(place: float, ends: tuple[float, float], *, log: bool) -> float:
    if log:
        place = float(np.log10(place)) if place > 0 else np.nan
    return (place - ends[0]) / (ends[1] - ends[0])


def ranges_of(plot: Plot) -> Ranges | None:
    """The ranges of a plot's axes; None where there is nothing to draw.

    A logarithmic axis needs a positive value: without one the axis is linear. Where no value is visible, y
    spans all there are.
    """
    known = [line for line in plot.lines if np.isfinite(line.y[:1000]).any() or np.isfinite(line.y).any()]
    if not known:
        return None
    x, log_x = _x_range(plot, known)
    visible = [part for line in known for part in _visible(line, x, log_x=log_x, log_y=plot.log_y)]
    spans = [span for part in visible if (span := _span(part))] or [
        span for line in known if (span := _span(line.strong))
    ]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    low = low if plot.low is None else plot.low
    high = high if plot.high is None else plot.high
    log_y = plot.log_y and high >= SMALLEST
    if log_y:
        if low < SMALLEST:
            positive = (span[0] for part in visible if (span := _span(drawable(part, positive=True))))
            low = min(positive, default=high)
        low, high = float(np.log10(low)), float(np.log10(high))
    if not high - low > _FLAT * max(abs(low), abs(high), SMALLEST):
        margin = 0.5 if log_y or abs(low) < SMALLEST else 0.05 * abs(low)
        low, high = low - margin, high + margin
    elif plot.steady:
        low, high = rounded_outwards(low, high)
    if log_x:
        x = float(np.log10(x[0])), float(np.log10(x[1]))
    return Ranges(x if x[1] > x[0] else (x[0], x[0] + 1), (low, high), log_y, log_x, plot.points)


def rounded_outwards(low: float, high: float) -> tuple[float, float]:
    """The range widened by at most a sixteenth at each end, to ends that stay where they are for a while."""
    step = 2.0 ** np.ceil(np.log2(high - low)) / 32
    wide = float(np.floor(low / step) * step), float(np.ceil(high / step) * step)
    return wide if np.isfinite(wide).all() else (low, high)


def _x_range(plot: Plot, known: list[Line]) -> tuple[tuple[float, float], bool]:
    """The ends of x, and whether its axis is logarithmic."""
    low, high = plot.x_range or (
        min(float(line.x[0]) for line in known),
        max(float(line.x[-1]) for line in known),
    )
    if not plot.log_x or high <= 0:
        return (low, high), False
    if low <= 0:
        starts = (int(first_at(line.x, np.array([np.nextafter(0, 1)]))[0]) for line in known)
        low = min(
            (float(line.x[at]) for line, at in zip(known, starts, strict=True) if at < len(line.x)),
            default=high,
        )
    return (low, high), low < high


def _visible(line: Line, x: tuple[float, float], *, log_x: bool, log_y: bool) -> list[NDArray[Any]]:
    """Values that are seen between the ends of x: those of points, and of the line where it meets the ends."""
    start, stop = first_at(line.x, np.array([x[0], np.nextafter(x[1], np.inf)]))
    around = np.unique(np.clip([start - 1, start, stop - 1, stop], 0, max(len(line.x) - 1, 0)))
    parts = []
    for y in line.drawn:
        ends = np.array(
            crossings(line.x[around], drawable(y[around], positive=log_y), *x, log_x=log_x, log_y=log_y)
        )
        parts += [y[start:stop], 10.0**ends if log_y else ends]
    return parts


def _span(y: NDArray[Any]) -> tuple[float, float] | None:
    """Least and greatest value that can be drawn, None where there is none."""
    if not len(y):
        return None
    low, high = float(np.fmin.reduce(y)), float(np.fmax.reduce(y))
    if not -LARGEST <= low <= high <= LARGEST:
        y = drawable(y, positive=False)
        low, high = float(np.fmin.reduce(y)), float(np.fmax.reduce(y))
    return (low, high) if low <= high else None
