"""Colours as 0xRRGGBB integers, chosen so that colour-blind people see the same differences.

Maps of values exist for both grounds: a diverging map fades to the ground it stands on, dark in a terminal
and light on paper, with the same hues (below the centre blue, above it orange to red).
Sources: Okabe & Ito 2008 (categorical), matplotlib's viridis (sequential), ColorBrewer's RdBu (diverging).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Colors = NDArray[np.int32]
"""0xRRGGBB each, or `GROUND`."""

GROUND: Final = -1
"""The terminal's own foreground or background."""

MUTED: Final = 0x8A8F98
ACCENT: Final = 0x56B4E9
WARNING: Final = 0xE69F00
ERROR: Final = 0xE8604C
GOOD: Final = 0x2DB88D
MISSING: Final = 0x7A7A7A
"""A value that is not a number."""

LEVELS: Final = 31
"""Colours of a map in a terminal: odd, so that the centre is one; few, so that equal cells merge."""

_ON_DARK: Final = (
    0x56B4E9, 0xE69F00, 0x2DB88D, 0xCC79A7, 0xE8703A, 0x6D8FF0, 0xF0E442, 0xB0B0B0, 0xB57EDC, 0x8DD3C7,
)  # fmt: skip
_ON_LIGHT: Final = (
    0x0072B2, 0xE69F00, 0x009E73, 0xCC79A7, 0xD55E00, 0x56B4E9, 0xA69A00, 0x555555, 0x882255, 0x44AA99,
)  # fmt: skip
_VIRIDIS: Final = (
    0x440154, 0x482878, 0x3E4989, 0x31688E, 0x26828E, 0x1F9E89, 0x35B779, 0x6ECE58, 0xB5DE2B, 0xFDE725,
)  # fmt: skip
_DIVERGING_LIGHT: Final = (
    0x053061, 0x2166AC, 0x4393C3, 0x92C5DE, 0xD1E5F0, 0xF7F7F7,
    0xFDDBC7, 0xF4A582, 0xD6604D, 0xB2182B, 0x67001F,
)  # fmt: skip
_DIVERGING_DARK: Final = (
    0xA9DCFF, 0x6CB8F5, 0x3A8AD0, 0x255C93, 0x1B3350, 0x17191D,
    0x4A2A1C, 0x8A4420, 0xC96A2A, 0xF29A4E, 0xFFD3A1,
)  # fmt: skip


def categorical(index: int, *, dark: bool = True) -> int:
    """Colour of the series or class `index`; it repeats after ten."""
    colors = _ON_DARK if dark else _ON_LIGHT
    return colors[index % len(colors)]


def rgb(color: int) -> tuple[int, int, int]:
    return color >> 16 & 255, color >> 8 & 255, color & 255


def pack(channels: NDArray[Any]) -> Colors:
    """[..., 3] values in [0, 255] -> [...] colours."""
    whole = channels.astype(np.int32)
    return (whole[..., 0] << 16) | (whole[..., 1] << 8) | whole[..., 2]


def unpack(colors: NDArray[Any]) -> NDArray[np.uint8]:
    """[...] colours -> [..., 3] channels."""
    return np.stack([colors >> 16 & 255, colors >> 8 & 255, colors & 255], axis=-1).astype(np.uint8)


@cache
def _table(anchors: tuple[int, ...], size: int) -> Colors:
    points = np.array([rgb(color) for color in anchors], dtype=np.float64)
    at = np.linspace(0, len(anchors) - 1, size)
    channels = [np.interp(at, np.arange(len(anchors)), points[:, c]) for c in range(3)]
    return pack(np.stack(channels, axis=-1).round())


def map_colors(share: NDArray[Any], *, diverging: bool, dark: bool, levels: int = LEVELS) -> Colors:
    """Colours of values by their `share` of the range in [0, 1] (0.5 is the centre); NaN is grey."""
    anchors = (_DIVERGING_DARK if dark else _DIVERGING_LIGHT) if diverging else _VIRIDIS
    missing = np.isnan(share)
    level = np.where(missing, 0, np.clip(share, 0, 1)) * (levels - 1)
    colors = _table(anchors, levels)[level.round().astype(np.intp)]
    return np.where(missing, np.int32(MISSING), colors).astype(np.int32)


def shares(
    values: NDArray[Any], *, low: float | None, high: float | None, center: float | None
) -> tuple[NDArray[np.float64], float, float]:
    """Values as shares of their range, with the range used: (share, low, high).

    Around a `center` both sides are stretched alike, so that equal distances have equal strength. NaN stays
    NaN; an infinite value is at its end of the range.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    bottom = float(finite.min()) if finite.size else 0.0
    top = float(finite.max()) if finite.size else 1.0
    bottom = bottom if low is None else low
    top = top if high is None else high
    if center is not None:
        reach = max(top - center, center - bottom)
        bottom, top = center - reach, center + reach
    if not top > bottom:
        bottom, top = (bottom - 0.5, bottom + 0.5) if center is not None else (bottom, bottom + 1.0)
    with np.errstate(invalid="ignore", over="ignore"):
        share = (np.clip(values, bottom, top) - bottom) / (top - bottom)
    return share, bottom, top


_CUBE: Final = np.array([0, 95, 135, 175, 215, 255], dtype=np.int32)


def to_256(colors: NDArray[Any]) -> NDArray[np.int32]:
    """The nearest of xterm's colours 16-255 (6x6x6 cube and greys); `GROUND` stays."""
    channels = unpack(np.maximum(colors, 0)).astype(np.int32)
    steps = np.abs(channels[..., None] - _CUBE).argmin(axis=-1)  # [..., 3]
    cube = _CUBE[steps]
    grey_step = np.clip((channels.mean(axis=-1) - 8) / 10, 0, 23).round().astype(np.int32)
    grey = 8 + 10 * grey_step[..., None]
    nearer_grey = ((channels - grey) ** 2).sum(-1) < ((channels - cube) ** 2).sum(-1)
    in_cube = 16 + 36 * steps[..., 0] + 6 * steps[..., 1] + steps[..., 2]
    return np.where(colors < 0, GROUND, np.where(nearer_grey, 232 + grey_step, in_cube)).astype(np.int32)
