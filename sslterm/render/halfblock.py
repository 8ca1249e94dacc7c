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


def halves(cells: Cells) -> Colors:
    """The pixels of cells that hold half-blocks, [2 * height, width]; the ground of any other glyph."""
    upper = np.where(np.isin(cells.glyphs, (UPPER, FULL)), cells.fg, cells.bg)
    lower = np.where(np.isin(cells.glyphs, (LOWER, FULL)), cells.fg, cells.bg)
    return np.asarray(np.stack([upper, lower], axis=1).reshape(-1, cells.width))


def merge_runs(cells: Cells) -> Cells:
    """The same pixels in fewer runs of equal colours, which take fewer bytes to send.

    As far as two colours are enough for the pixels of a run, all its cells have both, and differ in their
    glyph: of yellow on blue, `█▄ ▀` are two yellow pixels, blue over yellow, two blue ones, yellow over blue.
    """
    pixels = halves(cells)
    upper, lower = pixels[0::2], pixels[1::2]
    starts = np.ones(upper.shape, dtype=bool)
    first, second = upper.copy(), lower.copy()  # the two colours of the run that a cell is in, so far
    for column in range(1, cells.width):
        above, below = upper[:, column], lower[:, column]
        one, two = first[:, column - 1], second[:, column - 1]
        other = np.where(one != two, two, np.where(above != one, above, below))
        fits = ((above == one) | (above == other)) & ((below == one) | (below == other))
        starts[:, column] = ~fits
        first[:, column] = np.where(fits, one, above)
        second[:, column] = np.where(fits, other, below)
    fg, bg = _to_the_start(first, starts), _to_the_start(second, starts)
    swapped = fg == GROUND  # which is no colour to draw with
    fg, bg = np.where(swapped, bg, fg), np.where(swapped, fg, bg)
    glyphs = np.where(upper == fg, np.where(lower == fg, FULL, UPPER), np.where(lower == fg, LOWER, SPACE))
    return Cells(np.where(fg == GROUND, SPACE, glyphs).astype(np.uint32), fg, bg)


def _to_the_start(last: Colors, starts: NDArray[np.bool_]) -> Colors:
    """Every cell as the last one of its run is."""
    columns = np.arange(last.shape[1])
    ends = np.roll(starts, -1, axis=1)
    ends[:, -1:] = True
    place = np.where(ends, columns, last.shape[1])
    place = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.take_along_axis(last, place, axis=1))


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
