"""Any panel in terminal cells."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

import numpy as np

from sslterm.render.bars import draw_bars
from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.curve import Line, Plot, draw_plot
from sslterm.render.heatmap import draw_matrix
from sslterm.render.image import draw_images
from sslterm.render.palette import ACCENT, GROUND, MUTED
from sslterm.render.scatter import draw_scatter
from sslterm.run.panels import Kind, Panel


def plot_of(panel: Panel) -> Plot:
    """A curve panel as a plot over the number of the point."""
    x = np.arange(panel.array.shape[1])
    names = [panel.labels[i] if i < len(panel.labels) else "" for i in range(len(panel.array))]
    lines = tuple(
        Line(name=n, x=x, y=y, hue=i) for i, (n, y) in enumerate(zip(names, panel.array, strict=True))
    )
    return Plot(
        title="", lines=lines, unit=panel.y_label, x_label=panel.x_label, low=panel.low, high=panel.high
    )


def _draw_curve(panel: Panel, width: int, height: int, *, color: bool) -> tuple[Cells, str]:
    return draw_plot(plot_of(panel), width, height, color=color), ""


_DRAW: dict[Kind, Callable[..., tuple[Cells, str]]] = {
    "images": draw_images,
    "matrix": draw_matrix,
    "bars": draw_bars,
    "scatter": draw_scatter,
    "curve": _draw_curve,
}


def shape_of(panel: Panel) -> str:
    """How much a panel holds: "64 images of 16x16", "256x256", ""."""
    shape = panel.array.shape
    if panel.kind == "images":
        return f"{shape[0]} image{'s' * (shape[0] != 1)} of {shape[3]}x{shape[2]}"
    return f"{shape[0]}x{shape[1]}" if panel.kind == "matrix" else ""


def draw_panel(
    panel: Panel,
    width: int,
    height: int,
    *,
    color: bool,
    when: str = "",
    place: str = "",
    selected: bool = False,
) -> Cells:
    """A panel of `width` x `height` cells: what it is, the picture, its caption.

    Args:
        when: when it was made, e.g. "step 3,100"; in the title.
        place: where its picture lies; in the last row.
        selected: whether the title is marked.
    """
    cells = Cells.blank(width, height)
    if width < 1 or height < 1:
        return cells
    below = _lines_below(panel, place, width, height)
    top = 1 if height >= 3 else 0
    picture, note = _DRAW[panel.kind](panel, width, height - top - len(below), color=color)
    cells.paste(picture, top, 0)
    sign = "▸ " if selected else ""
    if top:
        parts = [panel.name, shape_of(panel), when, note]
        ranks = (0, 2, 1, 1 if not below else 3)  # where there is a caption, the note may stand there
        shown = _fitting(parts, ranks, width - len(sign))
        cells.put(fit(sign + " · ".join(shown), width), 0, 0, ACCENT if selected else GROUND)
        if note and note not in shown and below:
            below[0] = f"{note} · {below[0]}"
    for row, text in enumerate(below, height - len(below)):
        cells.put(fit(text, width), row, 0, MUTED)
    return cells if color else cells.uncolored()


def _fitting(parts: Sequence[str], ranks: Sequence[int], width: int) -> list[str]:
    """The parts that fit into a row with dots between them, the lowest ranks first, in their own order."""
    kept = sorted((index for index, part in enumerate(parts) if part), key=lambda index: ranks[index])
    while len(kept) > 1 and sum(text_width(parts[index]) + 3 for index in kept) - 3 > width:
        kept.pop()
    return [parts[index] for index in sorted(kept)]


def _lines_below(panel: Panel, place: str, width: int, height: int) -> list[str]:
    """Caption, axes and place, as far as there is room for them."""
    if height < 8:
        return []
    axes = ""
    if panel.kind in ("images", "matrix", "scatter"):
        named = (("x", panel.x_label), ("y", panel.y_label))
        axes = " · ".join(f"{axis}: {label}" for axis, label in named if label)
    columns = f"columns: {', '.join(panel.labels)}" if panel.kind == "images" and panel.labels else ""
    most = max(height // 12, 1)
    for parts in ((panel.caption, axes, columns), (panel.caption, axes), (panel.caption,)):
        lines = textwrap.wrap(" · ".join(part for part in parts if part), width)
        if len(lines) <= most:
            break
    if len(lines) > most:
        lines = [*lines[: most - 1], fit(" ".join(lines[most - 1 :]), width)]
    return [*lines, place] if place else lines
