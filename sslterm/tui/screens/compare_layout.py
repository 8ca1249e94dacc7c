"""How the rows of the screen that compares runs are shared out."""

from __future__ import annotations

from dataclasses import dataclass

from sslterm.render.comparison_cells import HEAD_ROWS

OVERLAY, TABLE, PANELS = range(3)
"""The parts of the screen, from top to bottom."""


@dataclass(frozen=True)
class Shares:
    """Rows of the parts of the screen; 0 leaves a part out."""

    header: int
    overlay: int
    table: int
    panels: int
    keys: int


def share_rows(height: int, runs: int, *, part: int, enlarged: bool) -> Shares:
    """Share out `height` rows: all three parts where they fit, else the table and the selected part, else that."""
    header, keys = (1 if height >= 10 else 0), (1 if height >= 6 else 0)
    rows = height - header - keys
    table = min(HEAD_ROWS + runs, max(rows // 3, HEAD_ROWS + 2))
    if not enlarged and rows - table >= 15:
        overlay = max(7, 2 * (rows - table) // 5)
        return Shares(header, overlay, table, rows - table - overlay, keys)
    alone = enlarged or rows - table < 7
    parts = [0, table if not alone else 0, 0]
    parts[part] = rows - parts[1] if part != TABLE or alone else table
    if part == TABLE and not alone:
        parts[OVERLAY] = rows - table
    return Shares(header, parts[OVERLAY], parts[TABLE], parts[PANELS], keys)
