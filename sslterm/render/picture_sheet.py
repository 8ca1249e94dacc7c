"""Pictures of several charts and panels as one, as they stand beside each other on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PIL import Image

from sslterm.render.ink import PAPER
from sslterm.render.png import framed

WIDEST: Final = 1000
"""Pixels that one of the pictures may be across; wider ones are reduced."""


def sheet_picture(title: str, left: Sequence[Image.Image], right: Sequence[Image.Image]) -> Image.Image:
    """Two columns of pictures under a title; the pictures of a column stand below each other."""
    columns = [[_reduced(picture) for picture in column] for column in (left, right) if column]
    widths = [max(picture.width for picture in column) for column in columns]
    height = max(sum(picture.height for picture in column) for column in columns)
    sheet, x = Image.new("RGB", (sum(widths), height), PAPER), 0
    for column, width in zip(columns, widths, strict=True):
        y = 0
        for picture in column:
            sheet.paste(picture, (x, y))
            y += picture.height
        x += width
    return framed(sheet, title)


def _reduced(picture: Image.Image) -> Image.Image:
    if picture.width <= WIDEST:
        return picture
    height = max(round(picture.height * WIDEST / picture.width), 1)
    return picture.resize((WIDEST, height), Image.Resampling.LANCZOS)
