"""How the screens that explore a run share out their rows and columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rooms:
    """Rows of the headline, the strips and the keys; columns of the field and of the image. 0 leaves one out."""

    head: int
    strip: int
    keys: int
    field: int
    image: int


def share_out(width: int, height: int, *, strips: bool, square: bool) -> Rooms:
    """Share out a screen of `width` x `height` cells.

    Args:
        strips: whether there are rows of small images to show; on a large screen they have their room anyway.
        square: the field needs no more than as many columns as it has pixels in height.
    """
    head = 1 if height >= 4 else 0
    keys = 1 if height >= 6 else 0
    rows = height - head - keys
    wanted = 8 if rows >= 34 else 7 if rows >= 28 else 6 if rows >= 20 else 5 if rows >= 14 else 0
    strip = wanted if strips or rows >= 44 else 0
    body = rows - strip
    if width < 44 or body < 5:
        return Rooms(head, strip, keys, 0, width)
    field = min(2 * body, width * 11 // 20) if square else width * 3 // 5
    return Rooms(head, strip, keys, max(field, width // 3), width - 2 - max(field, width // 3))
