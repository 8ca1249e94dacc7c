"""Numbers as people read them: significant digits, units, times, and the ticks of an axis."""

from __future__ import annotations

import math
from itertools import pairwise

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float, digits: int = 4) -> str:
    """`value` in `digits` significant digits: 0.8421, 151.2, 24.9 k, 1.2e-05, nan."""
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3:
        return f"{value:.{max(digits - 3, 1)}e}"
    if size >= 1e4:
        return amount(value)
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.{max(digits - 1 - math.floor(math.log10(size)), 0)}f}"


def column(values: list[float], digits: int = 3) -> list[str]:
    """Numbers to stand under each other, with the decimals that the largest needs for `digits` digits."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    if not sizes or max(sizes) >= 1e4 or max(sizes) < 1e-3:
        return [number(value, digits) for value in values]
    decimals = max(digits - 1 - math.floor(math.log10(max(sizes))), 0)
    return [f"{value:,.{decimals}f}" if math.isfinite(value) else number(value) for value in values]


def amount(value: float) -> str:
    """A count or rate with a unit prefix: 512, 6.5 k, 798 k, 1.3 M."""
    if not math.isfinite(value):
        return number(value)
    for scale, prefix in _PREFIXES:
        if abs(value) >= scale * 0.9995:
            scaled = value / scale
            return f"{scaled:.{0 if abs(scaled) >= 99.95 else 1}f} {prefix}"
    return f"{value:.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.1f}"


def whole(value: float) -> str:
    """A count in full: 3,120."""
    return f"{int(value):,}"


def memory(count_bytes: float) -> str:
    """Bytes in the unit that fits: 1.1 GB (1 GB = 10^9 bytes)."""
    return f"{amount(count_bytes)}B" if count_bytes >= 1000 else f"{count_bytes:.0f} B"


def duration(seconds: float) -> str:
    """A time in the two units that matter: 42 s, 1 m 14 s, 2 h 5 m, 3 d 4 h."""
    if not math.isfinite(seconds):
        return "?"
    left = max(round(seconds), 0)
    if left < 60:
        return f"{left} s"
    if left < 3600:
        return f"{left // 60} m {left % 60} s" if left % 60 else f"{left // 60} m"
    left //= 60
    if left < 24 * 60:
        return f"{left // 60} h {left % 60} m" if left % 60 else f"{left // 60} h"
    left //= 60
    return f"{left // 24} d {left % 24} h" if left % 24 else f"{left // 24} d"


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers within [low, high], in steps of 1, 2 or 5 times 10^k."""
    span = high - low
    if not math.isfinite(span) or span <= 0 or not span > 1e-12 * max(abs(low), abs(high)):
        return [low]
    power = 10.0 ** math.floor(math.log10(span / max(count, 2)))
    ticks = [low]
    for factor in (1, 2, 5, 10, 20, 50):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < 1 and len(ticks) > 1:
            break
        ticks = [index * step for index in range(first, last + 1)] or ticks
        if len(ticks) <= max(count, 2):
            break
    return ticks


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` ticks of a logarithmic axis: powers of ten, and round ones between them where there is room."""
    if not 0 < low < high or not math.isfinite(high):
        return [low]
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors, every in (
        (tuple(range(1, 10)), 1),
        ((1, 2, 5), 1),
        ((1, 3), 1),
        *(((1,), every) for every in range(1, last - first + 2)),
    ):
        ticks = [
            factor * 10.0**power
            for power in range(first, last + 1)
            for factor in factors
            if power % every == 0 and low * (1 - 1e-9) <= factor * 10.0**power <= high * (1 + 1e-9)
        ]
        if len(ticks) <= max(count, 2) + 1:
            return ticks if len(ticks) > 1 else linear_ticks(low, high, count)
    return [low]


def tick_labels(ticks: list[float], *, log: bool = False) -> list[str]:
    """Names of ticks: as many decimals as they need, the same for all; large ones with a common prefix."""
    if log or len(ticks) < 2:
        return [_plain(tick) for tick in ticks]
    top = max(abs(tick) for tick in ticks)
    step = min(abs(b - a) for a, b in pairwise(ticks))
    if top < 1e-3:
        return [f"{tick:.{_decimals(step, top)}e}" if tick else "0" for tick in ticks]
    scale, prefix = next(((s, p) for s, p in _PREFIXES if top >= 10 * s or (top >= s > 1e3)), (1.0, ""))
    decimals = max(-math.floor(math.log10(step / scale) + 1e-9), 0)
    if decimals > 6:
        return [_plain(tick) for tick in ticks]
    names = [f"{tick / scale:,.{decimals}f}" for tick in ticks]
    return [f"{name} {prefix}" if prefix and float(name.replace(",", "")) else name for name in names]


def _decimals(step: float, top: float) -> int:
    return max(math.floor(math.log10(top)) - math.floor(math.log10(step) + 1e-9), 0)


def _plain(value: float) -> str:
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.6g}" if abs(value) >= 1e4 else f"{value:.6g}"


def short(value: float) -> str:
    """A round number with a unit prefix, and no digits that it does not need: 0.5, 200, 1 k, 2.5 M."""
    for scale, prefix in _PREFIXES:
        if abs(value) >= scale * (1 - 1e-9):
            return f"{value / scale:g} {prefix}"
    return _plain(value)


_CLOCK = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12)),
)
"""Steps of a time axis, in seconds."""


def time_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round times within [low, high], in seconds: whole minutes, quarters of an hour, days."""
    if not math.isfinite(high - low) or high - low < 2 * count or high - low > 2e9:
        return linear_ticks(low, high, count)
    days = (86400 * factor * 10**power for power in range(5) for factor in (1, 2, 5))
    for step in (*_CLOCK, *days):
        first, last = math.ceil(low / step), math.floor(high / step)
        if last - first + 1 <= max(count, 2):
            return [float(step * k) for k in range(first, last + 1)] or [low]
    return [low]


def time_labels(ticks: list[float]) -> list[str]:
    """Names of ticks in seconds: 0, 30 s, 1 m 30 s, 2 h."""
    if any(tick != int(tick) for tick in ticks):
        return [f"{label} s" for label in tick_labels(ticks)]
    return [duration(tick) if tick else "0" for tick in ticks]
