"""A message where there is nothing else to show."""

from __future__ import annotations

from textwrap import wrap

from sslterm.render.cells import Cells, text_width
from sslterm.render.palette import GROUND, MUTED


def put_message(cells: Cells, text: str, color: bool) -> None:
    """Write `text` into the middle of empty cells, in as many rows as it needs."""
    lines = wrap(text, max(cells.width - 2, 8))
    for row, line in enumerate(lines, max((cells.height - len(lines)) // 2, 0)):
        cells.put(line, row, max((cells.width - text_width(line)) // 2, 0), MUTED if color else GROUND)
