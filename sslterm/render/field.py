"""Pictures to move in: a field of images with a cursor, one image large, a row of small ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.halfblock import grey_cells, half_blocks
from sslterm.render.image import resize
from sslterm.render.palette import ACCENT, GROUND, MUTED, Colors, pack

Bytes = NDArray[np.uint8]
"""[N, C, H, W] or [C, H, W]"""

_TONES: Final = 31
"""Steps of a channel in a terminal: few, so that equal cells merge."""
_WHOLE_ZOOM: Final = 0.75
"""An image is enlarged by a whole number where that fills this share of the room, else to fill it."""


def _colors(images: Bytes, height: int, width: int) -> Colors:
    """[N, C, H, W] uint8 -> [N, height, width] colours."""
    three = images[:, :3] if images.shape[1] >= 3 else images[:, :1].repeat(3, axis=1)
    shares = resize(three.transpose(0, 2, 3, 1) / 255, height, width)
    return pack(np.rint(np.rint(shares * _TONES) * (255 / _TONES)))


def _cells(pixels: Colors, *, color: bool) -> Cells:
    return half_blocks(pixels) if color else grey_cells(pixels)


def fitted(image: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """(height, width) in pixels of an image of (height, width) enlarged, or reduced, to fit."""
    tall, wide = image
    scale = min(width / wide, height / tall)
    if int(scale) >= _WHOLE_ZOOM * scale:
        scale = int(scale)
    return max(int(tall * scale), 1), max(int(wide * scale), 1)


def draw_picture(image: Bytes, width: int, height: int, *, color: bool) -> Cells:
    """One image [C, H, W], as large as it goes, in the middle of `width` x `height` cells."""
    cells = Cells.blank(width, height)
    if width < 1 or height < 1:
        return cells
    tall, wide = fitted((image.shape[1], image.shape[2]), width, 2 * height)
    picture = _cells(_colors(image[None], tall, wide)[0], color=color)
    cells.paste(picture, (height - picture.height) // 2, (width - picture.width) // 2)
    return cells


@dataclass(frozen=True)
class Field:
    """Where the images of a square field lie, in pixels, with gaps of one pixel between them.

    Attributes:
        steps: images a side.
        tall, wide: size of an image.
        top, left: where the first one begins.
    """

    steps: int
    tall: int
    wide: int
    top: int
    left: int

    def corner(self, x: float, y: float) -> tuple[int, int]:
        """(row, column) of the upper left pixel of an image at a place, (0, 0) below left, (1, 1) above right."""
        row = self.top + round((1 - y) * (self.steps - 1) * (self.tall + 1))
        return row, self.left + round(x * (self.steps - 1) * (self.wide + 1))

    def place(self, row: float, column: float) -> tuple[float, float]:
        """The place (x, y) whose image has a pixel as its centre, within the field."""
        across = max(self.steps - 1, 1)
        x = (column - self.left - self.wide / 2) / (across * (self.wide + 1))
        y = 1 - (row - self.top - self.tall / 2) / (across * (self.tall + 1))
        return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)


def lay_out(image: tuple[int, int], steps: int, width: int, height: int) -> Field | None:
    """A field of steps x steps images of (height, width) in `width` x `height` cells; None where it cannot fit.

    A margin of a pixel stays for the frame of the cursor.
    """
    tall, wide = image
    scale = min((width - 1 - steps) / (steps * wide), (2 * height - 1 - steps) / (steps * tall))
    high, across = int(tall * scale), int(wide * scale)
    if high < 2 or across < 2:
        return None
    high, across = min(high, 8 * tall), min(across, 8 * wide)
    left = max((width - steps * (across + 1) + 1) // 2, 1)
    top = max((2 * height - steps * (high + 1) + 1) // 2, 1)
    return Field(steps, high, across, top, left)


def draw_field(
    images: Bytes,
    field: Field,
    cursor: tuple[float, float] | None,
    width: int,
    height: int,
    *,
    color: bool,
    inset: Bytes | None = None,
) -> Cells:
    """Images row by row, and a bright frame around the place of the cursor.

    Args:
        inset: [C, H, W] what is within the frame, where that is not the field below it.
    """
    pixels = np.full((2 * height, width), GROUND, dtype=np.int32)
    tiles = _colors(images, field.tall, field.wide).reshape(field.steps, field.steps, field.tall, field.wide)
    for row, column in np.ndindex(field.steps, field.steps):
        top = field.top + row * (field.tall + 1)
        left = field.left + column * (field.wide + 1)
        pixels[top : top + field.tall, left : left + field.wide] = tiles[row, column]
    if cursor is None:
        return _cells(pixels, color=color)
    top, left = field.corner(*(min(max(place, 0.0), 1.0) for place in cursor))
    bottom, right = top + field.tall, left + field.wide
    if inset is not None:
        pixels[top:bottom, left:right] = _colors(inset[None], field.tall, field.wide)[0]
    if color:
        for row in (top - 1, bottom):
            pixels[max(row, 0) : row + 1, max(left - 1, 0) : right + 1] = ACCENT
        for column in (left - 1, right):
            pixels[max(top - 1, 0) : bottom + 1, max(column, 0) : column + 1] = ACCENT
        return half_blocks(pixels)
    cells = grey_cells(pixels)
    _frame(cells, (top - 1) // 2, left - 1, bottom // 2, right)
    return cells


def _frame(cells: Cells, top: int, left: int, bottom: int, right: int) -> None:
    """A frame of lines, for where there is no colour."""
    across = "─" * (right - left - 1)
    cells.put(f"┌{across}┐", top, left)
    cells.put(f"└{across}┘", bottom, left)
    for row in range(top + 1, bottom):
        cells.put("│", row, left)
        cells.put("│", row, right)


@dataclass(frozen=True)
class StripItem:
    """A small image with what stands below it."""

    image: Bytes | None
    """[C, H, W]; None while it is not known."""
    text: str = ""
    tint: int = GROUND


def strip_starts(widths: Sequence[int], texts: Sequence[str], width: int) -> list[int]:
    """First columns of items of a strip, a gap of one between them, as many as fit."""
    starts, column = [], 0
    for wide, text in zip(widths, texts, strict=True):
        each = max(wide, text_width(text))
        if column + each > width:
            break
        starts.append(column)
        column += each + 1
    return starts


def item_width(image: tuple[int, int], rows: int) -> int:
    """Cells that an image of (height, width) takes across, `rows` high."""
    return fitted(image, 10_000, 2 * rows)[1]


def draw_strip(
    items: Sequence[StripItem], image: tuple[int, int], width: int, height: int, *, color: bool
) -> tuple[Cells, list[int]]:
    """Small images in a row, their texts below them where there are any, and the columns they begin at.

    Args:
        image: (height, width) of an image.
    """
    cells = Cells.blank(width, height)
    rows = height - (1 if any(item.text for item in items) else 0)
    if rows < 1 or width < 1:
        return cells, []
    wide = min(item_width(image, rows), width)
    starts = strip_starts([wide] * len(items), [item.text for item in items], width)
    tall = min(fitted(image, wide, 2 * rows)[0], 2 * rows)
    for item, column in zip(items, starts, strict=False):
        if item.image is not None:
            picture = _colors(item.image[None], tall, wide)[0]
            cells.paste(_cells(picture, color=color), 0, column)
        else:
            cells.put("…", rows // 2, column + wide // 2, MUTED)
        if rows < height:
            cells.put(fit(item.text, width - column), height - 1, column, item.tint)
    return cells, starts


def row_of_images(
    count: int, image: tuple[int, int], width: int, rows: int, *, least: int = 4
) -> tuple[list[int], int]:
    """Which of `count` images of (height, width) go into a row of `width` cells, and how many rows high they are.

    All of them, smaller where need be, but at least `least` rows high; else the ends, and evenly between them.
    """
    for high in range(rows, min(least, rows) - 1, -1):
        most = max((width + 1) // (item_width(image, max(high, 1)) + 1), 1)
        if count <= most:
            return list(range(count)), high
    shown = sorted({int(place) for place in np.rint(np.linspace(0, count - 1, max(most, 2)))})
    return shown[:most], high


def as_images(array: NDArray[Any]) -> Bytes:
    """An array of a worker as images.

    Raises:
        ValueError: it is no uint8 array [N, C, H, W].
    """
    if array.dtype != np.uint8 or array.ndim != 4 or 0 in array.shape:
        raise ValueError("these are no images")
    return array
