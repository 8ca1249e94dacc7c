"""Pixels in terminal cells: two a cell, one above the other, or shades where there is no colour."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import SPACE, Cells
from sslterm.render.palette import GROUND, Colors, unpack

UPPER, LOWER, FULL = ord("▀"), ord("▄"), ord("█")
_SHADES: Final = np.array([ord(glyph) for glyph in " ░▒▓█"], dtype=np.uint32)
_NEGATIVE: Final = np.array([ord(glyph) for glyph in " -=≡#"], dtype=np.uint32)


def half_blocks(pixels: Colors) -> Cells:
    """[rows, columns] colours (`GROUND`: the terminal's own) -> cells, two rows of pixels in each row."""
    if pixels.shape[0] % 2:
        pixels = np.vstack([pixels, np.full((1, pixels.shape[1]), GROUND, dtype=np.int32)])
    top, bottom = pixels[0::2], pixels[1::2]
    fg = np.where(top == GROUND, bottom, top)
    bg = np.where((top == GROUND) | (bottom == GROUND), GROUND, bottom)
    glyphs = np.full(top.shape, UPPER, dtype=np.uint32)
    glyphs[(top == GROUND) & (bottom != GROUND)] = LOWER
    glyphs[(top == GROUND) & (bottom == GROUND)] = SPACE
    glyphs[(top == bottom) & (top != GROUND)] = FULL
    bg = np.where(glyphs == FULL, fg, bg)  # so that a run of equal pixels has equal colours
    return Cells(glyphs, fg.astype(np.int32), bg.astype(np.int32))


def shade(strength: NDArray[Any], negative: NDArray[np.bool_] | None = None) -> NDArray[np.uint32]:
    """[rows, columns] strengths in [0, 1] -> glyphs that get denser; where `negative`, of another kind."""
    level = np.rint(np.clip(np.nan_to_num(strength), 0, 1) * (len(_SHADES) - 1)).astype(np.intp)
    glyphs = _SHADES[level] if negative is None else np.where(negative, _NEGATIVE[level], _SHADES[level])
    return np.where(np.isnan(strength), np.uint32(ord("?")), glyphs)


def grey_cells(pixels: Colors) -> Cells:
    """The same layout as `half_blocks` without colour: the mean luminance of both pixels as a shade."""
    luminance = (unpack(pixels) @ np.array([0.299, 0.587, 0.114])) / 255
    luminance[pixels == GROUND] = 0
    if len(luminance) % 2:
        luminance = np.vstack([luminance, np.zeros((1, luminance.shape[1]))])
    cells = Cells.blank(luminance.shape[1], len(luminance) // 2)
    cells.glyphs[:] = shade((luminance[0::2] + luminance[1::2]) / 2)
    return cells
