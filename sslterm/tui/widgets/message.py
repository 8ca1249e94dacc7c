"""A message where there is nothing else to show."""

from __future__ import annotations

from textwrap import wrap

from sslterm.render.cells import Cells, text_width
from sslterm.render.palette import MUTED


def message_cells(text: str, width: int, height: int, tint: int = MUTED) -> Cells:
    """A message in the middle of `width` x `height` cells, in as many rows as it needs."""
    cells = Cells.blank(width, height)
    lines = wrap(text, max(width - 2, 8))
    for row, line in enumerate(lines, max((height - len(lines)) // 2, 0)):
        cells.put(line, row, max((width - text_width(line)) // 2, 0), tint)
    return cells
