"""A message in place of what is not there."""

from __future__ import annotations

from textwrap import wrap

from sslterm.render.cells import Cells


def message_cells(message: str, width: int, height: int, tint: int) -> Cells:
    """A message in the middle of `width` x `height` cells, wrapped."""
    cells = Cells.blank(width, height)
    for offset, text in enumerate(wrap(message, max(width, 1))):
        cells.put(text, height // 2 + offset, max((width - len(text)) // 2, 0), tint)
    return cells
