"""The moving average of a series, as TensorBoard draws it, over the whole series and fast at a million points."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLOCK: Final = 16384
"""Values that are averaged at once; they stay in the processor's cache."""
_NOTHING: Final = 1e-18
"""A weight that no longer changes a sum of double precision."""


@dataclass
class _Growing:
    """The average of a series so far, and what its continuation needs."""

    source: NDArray[Any]
    weight: float
    total: float = 0.0
    """Decayed sum of all finite values."""
    count: int = 0
    """How many those are."""
    smooth: Floats = field(default_factory=lambda: np.empty(0))
    """[capacity]; the first len(source) are known."""

    def extend(self, y: NDArray[Any]) -> None:
        """Average what `y` has beyond `source`, which it begins with."""
        known = len(self.source)
        if len(y) > len(self.smooth):
            room = np.empty(max(len(y), 2 * known))
            room[:known] = self.smooth[:known]
            self.smooth = room
        for start in range(known, len(y), _BLOCK):
            part = y[start : start + _BLOCK].astype(np.float64)
            self.smooth[start : start + len(part)] = self._average(part)
        self.source = y

    def _average(self, part: Floats) -> Floats:
        finite = np.isfinite(part)
        whole = bool(finite.all())
        values = part if whole else part[finite]
        if not len(values):
            return np.full(len(part), np.nan)
        sums = _decayed(values, self.weight, self.total)
        self.total = float(sums[-1])
        ages = np.arange(self.count + 1, self.count + 1 + len(values))
        self.count += len(values)
        if self.weight ** int(ages[0]) > _NOTHING:
            sums = sums / (1 - self.weight**ages)
        if whole:
            return sums
        out = np.full(len(part), np.nan)
        out[finite] = sums
        return out


def _decayed(values: Floats, weight: float, total: float) -> Floats:
    """s[t] = weight * s[t-1] + (1 - weight) * values[t], from s[-1] = total; in log2 passes, by doubling."""
    sums = (1 - weight) * values
    sums[0] += weight * total
    reach, decay = 1, weight
    while reach < len(sums) and decay > _NOTHING:
        sums[reach:] += decay * sums[:-reach]
        reach, decay = 2 * reach, decay * decay
    return sums


class Smoother:
    """What is computed from whole series, kept by name: moving averages, continued as they grow, and epochs."""

    def __init__(self) -> None:
        self._kept: dict[str, _Growing] = {}
        self._divided: dict[str, tuple[NDArray[Any], float, Floats]] = {}

    def smooth(self, name: str, y: NDArray[Any], weight: float) -> Floats:
        """The debiased exponential moving average of `y` [N]: [N], NaN where `y` is not finite.

        What is not finite is passed over: the average goes on after it as if it were not there.

        Args:
            weight: of the past, in [0, 1).
        """
        if not 0 <= weight < 1 or math.isnan(weight):
            raise ValueError(f"a weight of the past must be in [0, 1), not {weight}")
        kept = self._kept.get(name)
        if kept is None or kept.weight != weight or not _goes_on(kept.source, y):
            kept = self._kept[name] = _Growing(y[:0], weight)
        kept.extend(y)
        view = kept.smooth[: len(y)]
        view.flags.writeable = False
        return view

    def places(self, name: str, x: NDArray[Any], unit: float) -> Floats:
        """`x` [N] in units of `unit`, kept as long as it is the same array."""
        kept = self._divided.get(name)
        if kept is None or kept[0] is not x or kept[1] != unit:
            kept = self._divided[name] = x, unit, x / unit
        return kept[2]


def _goes_on(before: NDArray[Any], now: NDArray[Any]) -> bool:
    """Whether `now` begins with `before`: the same memory where it can be told by that, else the same values."""
    if len(now) < len(before) or now.dtype != before.dtype:
        return False
    if now is before or (
        before.base is not None and before.base is now.base and before.ctypes.data == now.ctypes.data
    ):
        return True
    return bool(np.array_equal(now[: len(before)], before, equal_nan=True))


def smoothed(y: NDArray[Any], weight: float) -> Floats:
    """The debiased exponential moving average of `y`, as `Smoother.smooth` has it."""
    return Smoother().smooth("", y, weight)
