"""Which colours the roles of the palette are, for the ground they stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from sslterm.errors import UsageError, did_you_mean
from sslterm.render.palette import (
    ACCENT,
    ERROR,
    FAINT,
    GOOD,
    GROUND,
    LEVELS,
    MUTED,
    SERIES,
    WARNING,
    Colors,
    categorical,
    categorical_behind,
    gradient,
    map_colors,
)

ENVIRONMENT: Final = "SSLTERM_THEME"

_STEPS: Final = 21
_BEHIND: Final = 9
"""Steps from the ground to the colour of a series, and at which of them stands what is behind it."""


@dataclass(frozen=True)
class Theme:
    """Colours of the roles, 0xRRGGBB each.

    Attributes:
        series: of the curves and classes, in their order.
        diverging: anchors of the map around a centre, the centre's in the middle.
    """

    name: str
    muted: int
    accent: int
    warning: int
    error: int
    good: int
    faint: int
    series: tuple[int, ...]
    diverging: tuple[int, ...]

    @cached_property
    def _table(self) -> Colors:
        """Colour of role r at -r."""
        named = {
            MUTED: self.muted,
            ACCENT: self.accent,
            WARNING: self.warning,
            ERROR: self.error,
            GOOD: self.good,
            FAINT: self.faint,
        }
        named |= {categorical(index): self.series[index] for index in range(SERIES)}
        ground = self.diverging[len(self.diverging) // 2]
        for index in range(SERIES):
            named[categorical_behind(index)] = int(gradient((ground, self.series[index]), _STEPS)[_BEHIND])
        levels = map_colors(np.linspace(0, 1, LEVELS), diverging=True)
        named |= dict(zip(levels.tolist(), gradient(self.diverging, LEVELS).tolist(), strict=True))
        table = np.full(1 - min(named), GROUND, dtype=np.int32)
        for role, color in named.items():
            table[-role] = color
        return table

    def colors(self, roles: Colors) -> Colors:
        """Every role as its colour; colours and `GROUND` as they are."""
        return np.where(roles < GROUND, self._table[np.maximum(-roles, 0)], roles).astype(np.int32)

    def color(self, role: int) -> int:
        """One role as its colour; a colour and `GROUND` as they are."""
        return int(self._table[-role]) if role < GROUND else role


DARK: Final = Theme(
    name="dark",
    muted=0x8A8F98,
    accent=0x56B4E9,
    warning=0xE69F00,
    error=0xE8604C,
    good=0x2DB88D,
    faint=0x3A3F47,
    series=(
        0x56B4E9, 0xE69F00, 0x2DB88D, 0xCC79A7, 0xE8703A, 0x6D8FF0, 0xF0E442, 0xB0B0B0, 0xB57EDC, 0x8DD3C7,
    ),
    diverging=(
        0xA9DCFF, 0x6CB8F5, 0x3A8AD0, 0x255C93, 0x1B3350, 0x17191D,
        0x4A2A1C, 0x8A4420, 0xC96A2A, 0xF29A4E, 0xFFD3A1,
    ),
)  # fmt: skip
LIGHT: Final = Theme(
    name="light",
    muted=0x63676E,
    accent=0x0062A3,
    warning=0x9A5B00,
    error=0xB3261E,
    good=0x00714F,
    faint=0xC9CCD1,
    series=(
        0x0072B2, 0xC77700, 0x007A5A, 0xA8497C, 0xC24A00, 0x3D5BC4, 0x857A00, 0x555555, 0x7B3FA8, 0x1F7F76,
    ),
    diverging=(
        0x053061, 0x2166AC, 0x4393C3, 0x92C5DE, 0xD1E5F0, 0xF4F4F4,
        0xFDDBC7, 0xF4A582, 0xD6604D, 0xB2182B, 0x67001F,
    ),
)  # fmt: skip
HIGH_CONTRAST: Final = Theme(
    name="high-contrast",
    muted=0xD0D0D0,
    accent=0x5FD7FF,
    warning=0xFFD700,
    error=0xFF8A80,
    good=0x5FFFAF,
    faint=0x767676,
    series=(
        0x5FD7FF, 0xFFAF00, 0x5FFFAF, 0xFF87D7, 0xFF7043, 0x8FA8FF, 0xFFFF5F, 0xFFFFFF, 0xD7AFFF, 0xAFFFEF,
    ),
    diverging=(
        0xDFF4FF, 0x8FD3FF, 0x3FA9FF, 0x1F6FC0, 0x0F3A66, 0x000000,
        0x66310F, 0xC05F1F, 0xFF8F3F, 0xFFB98F, 0xFFE9D6,
    ),
)  # fmt: skip

THEMES: Final[Mapping[str, Theme]] = {theme.name: theme for theme in (DARK, LIGHT, HIGH_CONTRAST)}


def choose_theme(environment: Mapping[str, str], wanted: str = "") -> Theme:
    """SSLTERM_THEME, else `wanted`, else light where the terminal says that its ground is (COLORFGBG), else dark.

    Raises:
        UsageError: there is no theme of that name.
    """
    name = environment.get(ENVIRONMENT) or wanted
    if name and name not in THEMES:
        raise UsageError(f"there is no theme {name!r}", did_you_mean(name, THEMES))
    if name:
        return THEMES[name]
    ground = environment.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT if ground in ("7", "15") else DARK
