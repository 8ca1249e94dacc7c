"""Through which window charts are looked at: axis, scales, smoothing, what is zoomed into, where the cursor is.

A view is a value: every act gives another view. What it must not leave is the `Domain`, the range of the data
that all charts of a screen share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from sslterm.render.envelope import first_at

Axis = Literal["step", "images", "epoch", "seconds"]
"""What curves are drawn over; seconds are those of training."""

AXES: Final[tuple[Axis, ...]] = ("step", "images", "epoch", "seconds")

SMOOTHINGS: Final = (0.0, 0.6, 0.9, 0.99)
"""Weights that a key goes through."""

_LEAST_POINTS: Final = 4
"""Points that the narrowest window holds, of the series that has them closest."""
_WHOLE: Final = 1e-9
"""Share of the whole range by which a window that counts as whole may fall short of it."""


@dataclass(frozen=True)
class Domain:
    """What there is to see on an axis.

    Attributes:
        low, high: first and last place.
        positive: the first place above zero, where a logarithmic axis begins; infinity where there is none.
        spacing: mean distance of the points of the series that has them closest; 0 where none has two.
    """

    low: float
    high: float
    positive: float = math.inf
    spacing: float = 0.0

    def start(self, *, log: bool) -> float:
        """Where the axis begins."""
        return self.positive if log and self.positive < self.high else self.low

    def has_log(self) -> bool:
        """Whether a logarithmic axis has a length."""
        return self.positive < self.high


def domain_over(places: Iterable[NDArray[Any]], size: float = 1) -> Domain | None:
    """What there is to see of points at ascending `places`, [N] each, in units of `size`; None where there are none."""
    places = [x for x in places if len(x)]
    if not places:
        return None
    low, high = min(float(x[0]) for x in places), max(float(x[-1]) for x in places)
    above = ((x, int(first_at(x, np.array([np.nextafter(0, 1)]))[0])) for x in places)
    positive = min((float(x[at]) for x, at in above if at < len(x)), default=np.inf)
    gaps = [float(x[-1] - x[0]) / (len(x) - 1) for x in places if len(x) > 1 and x[-1] > x[0]]
    return Domain(low / size, high / size, positive / size, min(gaps, default=0.0) / size)


@dataclass(frozen=True, kw_only=True)
class ChartView:
    """How charts are looked at.

    Attributes:
        smoothing: weight of the past in the moving average, in [0, 1); 0 does not smooth.
        window: first and last place that are shown, in units of the axis; None shows all, also what comes. An
            infinite last place is where the data ends, and moves on with it.
        cursor: the place that is read off, in units of the axis.
    """

    axis: Axis = "step"
    log_x: bool = False
    log_y: bool = False
    smoothing: float = 0.0
    window: tuple[float, float] | None = None
    cursor: float | None = None

    def shown(self, domain: Domain) -> tuple[float, float]:
        """First and last place that are shown: the window, as far as it lies in the domain."""
        whole = domain.start(log=self.log_x), domain.high
        if self.window is None or not whole[0] < whole[1]:
            return whole
        low, high = (min(max(end, whole[0]), whole[1]) for end in self.window)
        return (low, high) if low < high else whole

    def at_share(self, domain: Domain, share: float) -> float:
        """The place at a share of the shown range: 0 is its left end, 1 its right end."""
        low, high = (self._scaled(end, domain) for end in self.shown(domain))
        return self._unscaled(low + (high - low) * share, domain)

    def share_of(self, domain: Domain, place: float) -> float:
        """Where a place is in the shown range: 0 at its left end, 1 at its right end."""
        low, high = (self._scaled(end, domain) for end in self.shown(domain))
        return (self._scaled(place, domain) - low) / (high - low) if low < high else 0.0

    def zoomed(self, domain: Domain, factor: float, about: float | None = None) -> ChartView:
        """The view with its range `factor` times as wide, below 1 nearer; `about` keeps its place on the screen.

        Without a place it is about the cursor, or else the middle. It is never narrower than a few points
        and never wider than the domain; what shows the whole domain follows it as it grows.
        """
        low, high = (self._scaled(end, domain) for end in self.shown(domain))
        place = self.cursor if about is None else about
        middle = (low + high) / 2 if place is None else min(max(self._scaled(place, domain), low), high)
        factor = max(factor, self._least_factor(domain, low, high, middle))
        return self._onto(domain, middle - (middle - low) * factor, middle + (high - middle) * factor)

    def _least_factor(self, domain: Domain, low: float, high: float, middle: float) -> float:
        """The factor at which the window, which is [low, high] now, holds but a few points; 1 where it does."""
        least = _LEAST_POINTS * domain.spacing
        if self._is_log(domain):
            least /= max(10.0**middle * math.log(10), least / 10)  # a step of `least` at `middle`, in decades
        return min(least / (high - low), 1.0) if low < high else 1.0

    def panned(self, domain: Domain, share: float) -> ChartView:
        """The view moved by a share of its width, to the right where positive; it stops at the domain's ends."""
        low, high = (self._scaled(end, domain) for end in self.shown(domain))
        start, end = self._scaled(domain.start(log=self.log_x), domain), self._scaled(domain.high, domain)
        by = min(max((high - low) * share, start - low), end - high)
        return self._onto(domain, low + by, high + by)

    def onto(self, domain: Domain, low: float, high: float) -> ChartView:
        """The view of the range [low, high], as far as it lies in the domain."""
        return self._onto(domain, self._scaled(low, domain), self._scaled(high, domain))

    def pointed(self, place: float | None) -> ChartView:
        """The view with the cursor there, or without one."""
        return replace(self, cursor=place)

    def moved(self, domain: Domain, columns: int, of: int) -> ChartView:
        """The view with the cursor moved by `columns`, of `of` that the range is wide.

        A cursor that there is not yet comes from the end it moves away from; one that moves on at an end
        takes the window along.
        """
        if self.cursor is None:
            return self.pointed(self.at_share(domain, 1.0 if columns < 0 else 0.0))
        share = self.share_of(domain, self.cursor) + columns / max(of - 1, 1)
        return self.led(domain, self.at_share(domain, share))

    def led(self, domain: Domain, place: float) -> ChartView:
        """The view with the cursor at a place, or at the end of the domain before it; the window comes along."""
        place = min(max(place, domain.start(log=self.log_x)), domain.high)
        share = self.share_of(domain, place)
        beyond = share - min(max(share, 0.0), 1.0)
        return (self.panned(domain, beyond) if beyond else self).pointed(place)

    def reset(self) -> ChartView:
        """The view of everything, without a cursor; axis, scales and smoothing stay."""
        return replace(self, window=None, cursor=None)

    def on_axis(self, axis: Axis) -> ChartView:
        """The view over another axis; its window and cursor mean nothing there."""
        return replace(self.reset(), axis=axis)

    def with_next_smoothing(self) -> ChartView:
        """The view with the next stronger smoothing, or none after the strongest."""
        stronger = [weight for weight in SMOOTHINGS if weight > self.smoothing]
        return replace(self, smoothing=stronger[0] if stronger else 0.0)

    def _onto(self, domain: Domain, low: float, high: float) -> ChartView:
        start, end = self._scaled(domain.start(log=self.log_x), domain), self._scaled(domain.high, domain)
        slack = _WHOLE * (end - start)
        if not low < high or (low <= start + slack and high >= end - slack):
            return replace(self, window=None)
        last = math.inf if high >= end - slack else self._unscaled(high, domain)
        view = replace(self, window=(self._unscaled(max(low, start), domain), last))
        if view.cursor is None:
            return view
        shown = view.shown(domain)
        return view.pointed(min(max(view.cursor, shown[0]), shown[1]))

    def _is_log(self, domain: Domain) -> bool:
        return self.log_x and domain.has_log()

    def _scaled(self, place: float, domain: Domain) -> float:
        return math.log10(max(place, domain.positive)) if self._is_log(domain) else place

    def _unscaled(self, place: float, domain: Domain) -> float:
        return float(10.0**place) if self._is_log(domain) else place
