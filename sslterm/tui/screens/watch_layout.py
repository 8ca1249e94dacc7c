"""How the rows of a run's screen are shared out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shares:
    """Rows of header, log and keys; 0 leaves a part out. The tiles have the rest."""

    header: int
    log: int
    keys: int


_LOG_ROWS = ((32, 6), (24, 4), (17, 3), (13, 2), (9, 1))
"""Rows between header and keys from which on the log has how many of them."""


def share_rows(height: int, *, result: int, enlarged: bool) -> Shares:
    """Share out a screen of `height` rows.

    Args:
        result: lines of result that the log has to show.
        enlarged: whether one tile has all the room between header and keys.
    """
    header = 2 if height >= 10 else 1
    keys = 1 if height >= 6 else 0
    rows = height - header - keys
    log = next((log for least, log in _LOG_ROWS if rows >= least), 0)
    if enlarged:
        return Shares(header, 0, keys)
    return Shares(header, max(log, min(result + 1, rows // 3) if result else 0), keys)
