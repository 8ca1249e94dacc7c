"""A grid of terminal cells, and its ways out: ANSI escapes, plain text, spans for a screen."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sslterm.render.palette import GROUND, Colors, to_256
from sslterm.render.theme import DARK, Theme

Depth = Literal["truecolor", "256", "none"]
"""What colours a terminal understands."""

SPACE = ord(" ")
_APART = 12
"""Cells that take as many bytes as to move the cursor over them and to say the colour again."""


class Cells:
    """`height` rows of `width` cells: a glyph, its colour, and the colour behind it.

    A glyph that is two cells wide is followed by a cell with glyph 0.
    """

    def __init__(self, glyphs: NDArray[np.uint32], fg: Colors, bg: Colors) -> None:
        self.glyphs, self.fg, self.bg = glyphs, fg, bg

    @classmethod
    def blank(cls, width: int, height: int) -> Cells:
        shape = (max(height, 0), max(width, 0))
        ground = np.full(shape, GROUND, dtype=np.int32)
        return cls(np.full(shape, SPACE, dtype=np.uint32), ground, ground.copy())

    @classmethod
    def line(cls, text: str, width: int, fg: int = GROUND) -> Cells:
        """One row of text, cut with an ellipsis where it is too long."""
        cells = cls.blank(width, 1)
        cells.put(fit(text, width), 0, 0, fg)
        return cells

    @property
    def width(self) -> int:
        return int(self.glyphs.shape[1])

    @property
    def height(self) -> int:
        return int(self.glyphs.shape[0])

    def put(self, text: str, row: int, column: int, fg: int = GROUND) -> int:
        """Write `text`, clipped at the edges; returns the column after it."""
        codes = glyph_codes(text)
        end = column + len(codes)
        left, right = max(column, 0), min(end, self.width)
        if 0 <= row < self.height and right > left:
            seen = codes[left - column : right - column].copy()
            if right < end and codes[right - column] == 0:
                seen[-1] = SPACE  # half of a wide glyph
            if left > column and seen[0] == 0:
                seen[0] = SPACE
            self.glyphs[row, left:right] = seen
            self.fg[row, left:right] = fg
        return end

    def put_right(self, text: str, row: int, end: int, fg: int = GROUND) -> int:
        """Write `text` so that it ends before column `end`; returns the column it starts at."""
        start = end - text_width(text)
        self.put(text, row, start, fg)
        return start

    def paste(self, other: Cells, row: int, column: int) -> None:
        """Copy `other` with its upper left corner at (row, column), clipped at the lower and right edges."""
        height = max(min(other.height, self.height - row), 0)
        width = max(min(other.width, self.width - column), 0)
        for mine, theirs in ((self.glyphs, other.glyphs), (self.fg, other.fg), (self.bg, other.bg)):
            mine[row : row + height, column : column + width] = theirs[:height, :width]

    def text(self, row: int) -> str:
        """The glyphs of a row."""
        return _decode(self.glyphs[row])

    def spans(self, row: int, start: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
        """(text, fg, bg) of the runs of equal colours in a row. Spaces take any foreground."""
        glyphs, bg = self.glyphs[row, start:end], self.bg[row, start:end]
        if not len(glyphs):
            return
        fg = _carried_over_spaces(self.fg[row, start:end], glyphs)
        changes = np.flatnonzero((fg[1:] != fg[:-1]) | (bg[1:] != bg[:-1])) + 1
        for first, last in zip((0, *changes), (*changes, len(glyphs)), strict=True):
            yield _decode(glyphs[first:last]), int(fg[first]), int(bg[first])

    def uncolored(self) -> Cells:
        """The same glyphs in the terminal's own colours."""
        return Cells(self.glyphs, np.full_like(self.fg, GROUND), np.full_like(self.bg, GROUND))

    def changes(self, before: Cells | None) -> list[tuple[int, int, int]]:
        """Where this differs from `before`: (row, first column, column after the last).

        Changes of a row that are no further apart than it takes to say where the next one is are one.
        """
        if before is None or before.glyphs.shape != self.glyphs.shape:
            return [(row, 0, self.width) for row in range(self.height)]
        differs = (self.glyphs != before.glyphs) | (self.fg != before.fg) | (self.bg != before.bg)
        differs[:, 1:] |= differs[:, :-1] & (self.glyphs[:, 1:] == 0)  # a wide glyph is sent whole
        row, column = np.nonzero(differs)
        begins = np.flatnonzero((np.diff(row, prepend=-1) > 0) | (np.diff(column, prepend=0) > _APART))
        ends = np.append(begins[1:], len(row)) - 1 if len(row) else begins
        found = zip(row[begins], column[begins], column[ends] + 1, strict=True)
        return [(int(r), int(a), int(b)) for r, a, b in found]

    def plain(self) -> str:
        """Text without colours; no spaces at the ends of lines."""
        return "\n".join(self.text(row).rstrip() for row in range(self.height))

    def ansi(self, depth: Depth = "truecolor", theme: Theme = DARK) -> str:
        """Text with ANSI colours, every line ending in the terminal's own."""
        if depth == "none":
            return self.plain()
        shown = Cells(self.glyphs, theme.colors(self.fg), theme.colors(self.bg))
        if depth == "256":
            shown = Cells(self.glyphs, to_256(shown.fg), to_256(shown.bg))
        return "\n".join(
            "".join(_escaped(*span, depth) for span in _without_end(shown, row)) for row in range(self.height)
        )


def _without_end(cells: Cells, row: int) -> Iterator[tuple[str, int, int]]:
    """The spans of a row up to its last cell that shows anything."""
    shows = np.flatnonzero((cells.glyphs[row] != SPACE) | (cells.bg[row] != GROUND))
    return cells.spans(row, 0, int(shows[-1]) + 1 if len(shows) else 0)


def _escaped(text: str, fg: int, bg: int, depth: Depth) -> str:
    codes = [_code(38, fg, depth), _code(48, bg, depth)]
    set_colors = ";".join(code for code in codes if code)
    return f"\x1b[{set_colors}m{text}\x1b[0m" if set_colors else text


def _code(kind: int, color: int, depth: Depth) -> str:
    if color == GROUND:
        return ""
    if depth == "256":
        return f"{kind};5;{color}"
    return f"{kind};2;{color >> 16 & 255};{color >> 8 & 255};{color & 255}"


def _carried_over_spaces(fg: Colors, glyphs: NDArray[np.uint32]) -> Colors:
    """Give spaces the foreground before them, so that runs merge."""
    invisible = glyphs == SPACE
    if not invisible.any() or invisible.all():
        return fg
    source = np.where(invisible, 0, np.arange(len(fg)))
    np.maximum.accumulate(source, out=source)
    source[: int((~invisible).argmax())] = int((~invisible).argmax())
    return fg[source]


def _decode(glyphs: NDArray[np.uint32]) -> str:
    shown: bytes = glyphs[glyphs != 0].astype("<u4").tobytes()
    return shown.decode("utf-32-le")


@lru_cache(maxsize=4096)
def _codes(text: str) -> NDArray[Any]:
    codes: list[int] = []
    for character in unicodedata.normalize("NFC", text):
        if unicodedata.combining(character):
            continue
        if not character.isprintable() or unicodedata.category(character) in ("Cf", "Mn", "Me"):
            codes.append(ord("·"))
            continue
        codes.append(ord(character))
        if unicodedata.east_asian_width(character) in "WF":
            codes.append(0)
    return np.array(codes, dtype=np.uint32)


def glyph_codes(text: str) -> NDArray[np.uint32]:
    """One code point a cell; the second half of a wide glyph is 0, what cannot be shown is a dot."""
    return _codes(text)


def text_width(text: str) -> int:
    """Cells that `text` takes."""
    return len(glyph_codes(text))


def fit(text: str, width: int) -> str:
    """`text`, cut with an ellipsis where it takes more than `width` cells."""
    if text_width(text) <= width:
        return text
    codes = glyph_codes(text)[: max(width - 1, 0)]
    if len(codes) and glyph_codes(text)[len(codes)] == 0:
        codes = codes[:-1]
    return _decode(codes) + "…" if width > 0 else ""
