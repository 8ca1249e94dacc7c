"""The cursor over a panel: which datum it is on, what is said of it, and how it is marked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import SPACE, Cells
from sslterm.render.halfblock import FULL, LOWER, UPPER, halves
from sslterm.render.palette import ACCENT, GROUND


class Spot(NamedTuple):
    """A datum by its place in the panel's data, so that it stays the same in the next drawing.

    A matrix: row and column. Everything else: 0, and the number of the image, bar or point, from 0.
    """

    row: int
    column: int


@dataclass(frozen=True)
class Mark:
    """Where a datum is drawn: columns of cells, and halves of rows; `bottom` and `right` are just outside.

    Attributes:
        shape: a frame around it, a sign in place of it, a line through its column, or its name highlighted.
        tint: of a frame; the terminal's own foreground is bright on every map, but not on images.
    """

    shape: Literal["frame", "point", "line", "name"]
    top: int
    left: int
    bottom: int
    right: int
    tint: int = GROUND

    def moved(self, rows: int) -> Mark:
        return replace(self, top=self.top + 2 * rows, bottom=self.bottom + 2 * rows)


@dataclass(frozen=True)
class Reading:
    """What is said of the datum under the cursor; `mark` is None where it is not drawn."""

    spot: Spot
    text: str
    mark: Mark | None = None


def put_mark(cells: Cells, mark: Mark, *, color: bool) -> None:
    """Draw the mark over what stands there."""
    if mark.shape == "frame":
        (_put_ring if color else _put_box)(cells, mark)
        return
    row, column = mark.top // 2, mark.left
    if not (0 <= row < cells.height and 0 <= column < cells.width):
        return
    if mark.shape == "point":
        cells.put("◆", row, column)
    elif mark.shape == "name":
        right = min(mark.right, cells.width)
        cells.fg[row, column:right] = ACCENT
        cells.glyphs[row, right - 1] = ord("◂")
    else:
        bottom = min(-(-mark.bottom // 2), cells.height)
        free = cells.glyphs[row:bottom, column] == SPACE
        cells.glyphs[row:bottom, column][free] = ord("│")
        cells.fg[row:bottom, column][free] = ACCENT


def _put_ring(cells: Cells, mark: Mark) -> None:
    """A frame that is half a row thick, just outside of what it marks."""
    ring = np.zeros((2 * cells.height, cells.width), dtype=bool)
    top, left = max(mark.top - 1, 0), max(mark.left - 1, 0)
    ring[top : mark.bottom + 1, left : mark.right + 1] = True
    ring[mark.top : mark.bottom, mark.left : mark.right] = False
    above, below = ring[0::2], ring[1::2]
    pixels = halves(cells)
    both, only_above, only_below = above & below, above & ~below, below & ~above
    for where, glyph, behind in ((only_above, UPPER, pixels[1::2]), (only_below, LOWER, pixels[0::2])):
        cells.glyphs[where] = glyph
        cells.bg[where] = behind[where]
    cells.glyphs[both] = FULL
    cells.bg[both] = mark.tint
    cells.fg[above | below] = mark.tint


def _put_box(cells: Cells, mark: Mark) -> None:
    """A frame of line glyphs in the cells around what it marks."""
    top, bottom = mark.top // 2 - 1, -(-mark.bottom // 2)
    left, right = mark.left - 1, mark.right
    across = "─" * (right - left - 1)
    rows = {top: f"┌{across}┐", bottom: f"└{across}┘"}
    for row in range(max(top, 0), min(bottom, cells.height - 1) + 1):
        if row in rows:
            cells.put(rows[row], row, left)
        else:
            cells.put("│", row, left)
            cells.put("│", row, right)


def nearest(distances: NDArray[np.float64]) -> int | None:
    """Index of the smallest distance; None where there is none that is finite."""
    if not distances.size or not np.isfinite(distances).any():
        return None
    return int(np.nanargmin(distances))
