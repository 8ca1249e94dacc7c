"""Colours as integers, chosen so that colour-blind people see the same differences.

0xRRGGBB is that colour. What has to look different on another ground is a role, a number below zero: text that
is less important, the colour of the third curve, a level of the diverging map. Cells are drawn in roles, and a
theme (`render.theme`) says which colours they are; pictures are drawn on paper, in colours of their own.
Sources: Okabe & Ito 2008 (categorical), matplotlib's viridis (sequential), ColorBrewer's RdBu (diverging).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Colors = NDArray[np.int32]
"""0xRRGGBB each, `GROUND`, or a role."""

GROUND: Final = -1
"""The terminal's own foreground or background."""

MUTED: Final = -2
"""Text that is less important than what stands beside it."""
ACCENT: Final = -3
"""What is selected, and keys."""
WARNING: Final = -4
ERROR: Final = -5
GOOD: Final = -6
FAINT: Final = -7
"""Rules, and the empty part of a bar."""
_SERIES: Final = -32
"""Role of the first series; further ones follow below it."""
_SERIES_BEHIND: Final = -48
"""Role of what stands behind the first series, as its values before smoothing do."""
_DIVERGING: Final = -64
"""Role of the lowest level of the diverging map; higher ones follow below it."""

MISSING: Final = 0x7A7A7A
"""A value that is not a number."""

LEVELS: Final = 31
"""Colours of a map in a terminal: odd, so that the centre is one; few, so that equal cells merge."""

_ON_PAPER: Final = (
    0x0072B2, 0xE69F00, 0x009E73, 0xCC79A7, 0xD55E00, 0x56B4E9, 0xA69A00, 0x555555, 0x882255, 0x44AA99,
)  # fmt: skip
_VIRIDIS: Final = (
    0x440154, 0x482878, 0x3E4989, 0x31688E, 0x26828E, 0x1F9E89, 0x35B779, 0x6ECE58, 0xB5DE2B, 0xFDE725,
)  # fmt: skip
_DIVERGING_ON_PAPER: Final = (
    0x053061, 0x2166AC, 0x4393C3, 0x92C5DE, 0xD1E5F0, 0xF7F7F7,
    0xFDDBC7, 0xF4A582, 0xD6604D, 0xB2182B, 0x67001F,
)  # fmt: skip

SERIES: Final = len(_ON_PAPER)
"""Colours that series and classes have before they repeat."""


def categorical(index: int) -> int:
    """Role of the series or class `index`; it repeats after ten."""
    return _SERIES - index % SERIES


def categorical_behind(index: int) -> int:
    """Role of what stands behind the series `index`: the same hue, fainter."""
    return _SERIES_BEHIND - index % SERIES


def categorical_on_paper(index: int) -> int:
    """Colour of the series or class `index` on white."""
    return _ON_PAPER[index % SERIES]


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
def gradient(anchors: tuple[int, ...], size: int) -> Colors:
    """`size` colours evenly along straight lines between `anchors`."""
    points = np.array([rgb(color) for color in anchors], dtype=np.float64)
    at = np.linspace(0, len(anchors) - 1, size)
    channels = [np.interp(at, np.arange(len(anchors)), points[:, c]) for c in range(3)]
    return pack(np.stack(channels, axis=-1).round())


def map_colors(share: NDArray[Any], *, diverging: bool) -> Colors:
    """Colours in a terminal of values by their `share` of the range in [0, 1]; NaN is grey.

    A diverging map, whose centre is 0.5, is in roles: it fades to the ground it stands on.
    """
    missing, level = _levels(share, LEVELS)
    colors = _DIVERGING - level if diverging else gradient(_VIRIDIS, LEVELS)[level]
    return np.where(missing, np.int32(MISSING), colors).astype(np.int32)


def map_colors_on_paper(share: NDArray[Any], *, diverging: bool, levels: int) -> Colors:
    """The same on white, in as many steps as asked for; with the same hues."""
    missing, level = _levels(share, levels)
    colors = gradient(_DIVERGING_ON_PAPER if diverging else _VIRIDIS, levels)[level]
    return np.where(missing, np.int32(MISSING), colors).astype(np.int32)


def _levels(share: NDArray[Any], count: int) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    missing = np.isnan(share)
    level = np.where(missing, 0, np.clip(share, 0, 1)) * (count - 1)
    return missing, level.round().astype(np.intp)


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
    """The nearest of xterm's colours 16-255 (6x6x6 cube and greys); `GROUND` stays. No roles."""
    channels = unpack(np.maximum(colors, 0)).astype(np.int32)
    steps = np.abs(channels[..., None] - _CUBE).argmin(axis=-1)  # [..., 3]
    cube = _CUBE[steps]
    grey_step = np.clip((channels.mean(axis=-1) - 8) / 10, 0, 23).round().astype(np.int32)
    grey = 8 + 10 * grey_step[..., None]
    nearer_grey = ((channels - grey) ** 2).sum(-1) < ((channels - cube) ** 2).sum(-1)
    in_cube = 16 + 36 * steps[..., 0] + 6 * steps[..., 1] + steps[..., 2]
    return np.where(colors < 0, GROUND, np.where(nearer_grey, 232 + grey_step, in_cube)).astype(np.int32)
