"""How the rows and columns of a screen are shared out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shares:
    """Rows of header, log and keys; columns of charts and panel. 0 leaves a part out."""

    header: int
    log: int
    keys: int
    charts: int
    panel: int


def arrange(width: int, height: int, *, panels: bool, charts: bool, result: int, only: str) -> Shares:
    """Share out a screen of `width` x `height` cells.

    Args:
        panels, charts: whether there is something to show in each.
        result: lines of result that the log has to show.
        only: "charts" or "panel" where one of them has all the room between header and keys.
    """
    header = 2 if height >= 10 else 1
    keys = 1 if height >= 6 else 0
    rows = height - header - keys
    log = (
        6
        if rows >= 32
        else 4
        if rows >= 24
        else 3
        if rows >= 17
        else 2
        if rows >= 13
        else 1
        if rows >= 9
        else 0
    )
    log = 0 if only else max(log, min(result + 1, rows // 3) if result else 0)
    if only == "panel" or not charts:
        return Shares(header, log, keys, 0, width)
    if only == "charts" or not panels or width < 60:
        return Shares(header, log, keys, width, 0)
    square = 2 * (rows - log - 2)  # a picture as wide as high: a cell is two pixels high
    panel = min(max(square, 12 * width // 25), width // 2)
    return Shares(header, log, keys, width - panel - 2, panel)
