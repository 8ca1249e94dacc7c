"""Panels as pictures that a person opens: sharp pixels, names, axes, scales."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from sslterm.render.ink import (
    FAINT,
    INK,
    PAPER,
    TEXT_SIZE,
    TITLE_SIZE,
    line_height,
    text_size,
    wrapped,
    write,
)
from sslterm.render.panel import plot_of, shape_of
from sslterm.render.picture_charts import bars_picture, plot_picture
from sslterm.render.picture_scatter import scatter_picture
from sslterm.render.picture_tiles import images_picture, matrix_picture
from sslterm.run.files import replace_file
from sslterm.run.panels import Kind, Panel

MARGIN = 20


def _curve_picture(panel: Panel) -> tuple[Image.Image, str]:
    return plot_picture(plot_of(panel)), ""


_DRAW: dict[Kind, Callable[[Panel], tuple[Image.Image, str]]] = {
    "images": images_picture,
    "matrix": matrix_picture,
    "bars": bars_picture,
    "scatter": scatter_picture,
    "curve": _curve_picture,
}


def panel_picture(panel: Panel) -> Image.Image:
    """A panel as an RGB picture: its name, caption, and what it shows."""
    content, note = _DRAW[panel.kind](panel) if panel.array.size else (nothing_picture(), "")
    title = " · ".join(part for part in (panel.name, shape_of(panel), note) if part)
    return framed(content, title, panel.caption)


def nothing_picture() -> Image.Image:
    """In place of a panel without values."""
    picture = Image.new("RGB", (320, 120), PAPER)
    write(picture, 160, 60, "no values", color=FAINT, anchor="mm")
    return picture


def framed(content: Image.Image, title: str, caption: str = "") -> Image.Image:
    """`content` under its title and caption, with a margin."""
    width = max(content.width, min(text_size(title, TITLE_SIZE)[0], 1200), 360)
    titles = wrapped(title, width, TITLE_SIZE)
    captions = wrapped(caption, width)
    head = len(titles) * line_height(TITLE_SIZE) + len(captions) * line_height(TEXT_SIZE)
    picture = Image.new("RGB", (width + 2 * MARGIN, head + 10 + content.height + 2 * MARGIN), PAPER)
    y = MARGIN
    for line in titles:
        write(picture, MARGIN, y + line_height(TITLE_SIZE) / 2, line, size=TITLE_SIZE, color=INK)
        y += line_height(TITLE_SIZE)
    for line in captions:
        write(picture, MARGIN, y + line_height(TEXT_SIZE) / 2, line, color=FAINT)
        y += line_height(TEXT_SIZE)
    picture.paste(content, (MARGIN, y + 10))
    return picture


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all.

    Raises:
        OSError: the disk is full or read-only.
    """
    content = io.BytesIO()
    picture.save(content, format="PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content.getvalue())


def write_png(panel: Panel, path: Path) -> None:
    """Draw `panel` and write it to `path`, whole or not at all.

    Raises:
        OSError: the disk is full or read-only.
    """
    save_picture(panel_picture(panel), path)
