"""Any panel in terminal cells, with a cursor on one datum of it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sslterm.render.bars import draw_bars, locate_bar, move_bar, read_bar
from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.cursor import Reading, Spot, put_mark
from sslterm.render.curve_cursor import draw_curve, locate_sample, move_sample, plot_of, read_sample
from sslterm.render.heatmap import draw_matrix, locate_matrix, move_matrix, read_matrix, summary
from sslterm.render.image import draw_images
from sslterm.render.image_cursor import locate_image, move_image, read_image
from sslterm.render.palette import ACCENT, GROUND, MUTED
from sslterm.render.scatter import draw_scatter, locate_point, move_point, read_point
from sslterm.run.panels import Kind, Panel

__all__ = [
    "difference",
    "draw_panel",
    "move_spot",
    "picture_rows",
    "plot_of",
    "read_panel",
    "read_spot",
    "shape_of",
]


@dataclass(frozen=True)
class _Drawing:
    """How panels of a kind are drawn, and how a cursor finds its way over them.

    All take a panel and the width and height of the picture in cells.
    """

    draw: Callable[..., tuple[Cells, str]]
    locate: Callable[[Panel, int, int, int, int], Spot | None]
    move: Callable[[Panel, int, int, Spot, int, int], Spot]
    read: Callable[[Panel, int, int, Spot], Reading | None]


_DRAWINGS: dict[Kind, _Drawing] = {
    "images": _Drawing(draw_images, locate_image, move_image, read_image),
    "matrix": _Drawing(draw_matrix, locate_matrix, move_matrix, read_matrix),
    "bars": _Drawing(draw_bars, locate_bar, move_bar, read_bar),
    "scatter": _Drawing(draw_scatter, locate_point, move_point, read_point),
    "curve": _Drawing(draw_curve, locate_sample, move_sample, read_sample),
}
_ROWS_FOR_SUMMARY = 12
"""Height from which a summary has a row of its own beside the caption."""


def shape_of(panel: Panel) -> str:
    """How much a panel holds: "64 images of 16x16", "256x256", ""."""
    shape = panel.array.shape
    if panel.kind == "images":
        return f"{shape[0]} image{'s' * (shape[0] != 1)} of {shape[3]}x{shape[2]}"
    return f"{shape[0]}x{shape[1]}" if panel.kind == "matrix" else ""


def difference(panel: Panel, before: Panel | None, since: str = "") -> Panel | None:
    """What has changed since `before`, around 0 in its own range; None where the two cannot be compared.

    Args:
        since: when `before` was drawn, "512 k images"; in the caption.
    """
    comparable = panel.kind in ("matrix", "bars") and before is not None and before.kind == panel.kind
    if before is None or not comparable or before.array.shape != panel.array.shape:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        change = panel.array.astype(np.float64) - before.array
    caption = f"change since {since or 'the drawing before'}"
    array = change.astype(np.float32)
    return replace(panel, array=array, low=None, high=None, center=0.0, caption=caption)


def draw_panel(
    panel: Panel,
    width: int,
    height: int,
    *,
    color: bool,
    when: str = "",
    place: str = "",
    selected: bool = False,
    cursor: Spot | None = None,
) -> Cells:
    """A panel of `width` x `height` cells: what it is, the picture, its caption.

    Args:
        when: when it was made, e.g. "step 3,100"; in the title.
        place: where its picture lies; in the last row.
        selected: whether the title is marked.
        cursor: the datum that is marked in the picture, and read in place of the caption.
    """
    cells = Cells.blank(width, height)
    if width < 1 or height < 1:
        return cells
    top, rows, below = _frame(panel, place, width, height)
    drawing = _DRAWINGS[panel.kind]
    picture, note = drawing.draw(panel, width, rows, color=color)
    reading = drawing.read(panel, width, rows, cursor) if cursor is not None else None
    if reading is not None and reading.mark is not None:
        put_mark(picture, reading.mark, color=color)
    cells.paste(picture, top, 0)
    _put_texts(cells, panel, [when, note], below, top, selected=selected, reading=reading)
    return cells if color else cells.uncolored()


def _put_texts(
    cells: Cells,
    panel: Panel,
    about: Sequence[str],
    below: list[str],
    top: int,
    *,
    selected: bool,
    reading: Reading | None,
) -> None:
    """The title above and the lines below a picture; a reading stands where the caption or the note does."""
    width, (when, note) = cells.width, about
    captions = _caption_lines(below)
    summarized = _summarized(panel) and bool(captions)
    sign = "▸ " if selected else ""
    if top:
        below_fits = bool(captions) and (not summarized or len(captions) > 1)
        parts = [panel.name, shape_of(panel), when, note]
        ranks = (0, 2, 1, 3 if below_fits else 1)  # the note may stand with the caption, where there is one
        shown = _fitting(parts, ranks, width - len(sign))
        if reading is not None and not captions:
            shown = [panel.name, reading.text]
        cells.put(fit(sign + " · ".join(shown), width), 0, 0, ACCENT if selected else GROUND)
        if note and note not in shown and below_fits:
            line = 1 if summarized else 0
            below[line] = f"{note} · {below[line]}"
    first = cells.height - len(below)
    for row, text in enumerate(below, first):
        cells.put(_fit_end(text, width) if isinstance(text, _Place) else fit(text, width), row, 0, MUTED)
    if reading is not None and captions:
        count = len(captions)
        kept = 1 if summarized and count > 1 else 0
        for row in range(count - kept):
            lines = textwrap.wrap(reading.text, max(width, 1))
            text = " ".join(lines[row:]) if row == count - kept - 1 else "".join(lines[row : row + 1])
            cells.put(fit(text, width).ljust(width), first + kept + row, 0, ACCENT)


def _fit_end(path: str, width: int) -> str:
    """A path, of which the beginning is left out where it is too long: its end says which picture it is."""
    while text_width(path) > width > 0:
        path = "…" + path.removeprefix("…")[1:]
    return path if width > 0 else ""


def read_panel(
    panel: Panel, width: int, height: int, row: int, column: int, *, place: str = ""
) -> Reading | None:
    """What lies under a cell of `draw_panel` with the same `width`, `height` and `place`; None: no datum.

    The mark of the reading is in the same cells.
    """
    if width < 1 or height < 1:
        return None
    top, rows, _ = _frame(panel, place, width, height)
    if not (top <= row < top + rows and 0 <= column < width):
        return None
    spot = _DRAWINGS[panel.kind].locate(panel, width, rows, row - top, column)
    return None if spot is None else read_spot(panel, width, height, spot, place=place)


def read_spot(panel: Panel, width: int, height: int, spot: Spot, *, place: str = "") -> Reading | None:
    """What is said of a datum, and where `draw_panel` draws it; None where the panel has no such datum."""
    if width < 1 or height < 1:
        return None
    top, rows, _ = _frame(panel, place, width, height)
    reading = _DRAWINGS[panel.kind].read(panel, width, rows, spot)
    if reading is None or reading.mark is None:
        return reading
    return replace(reading, mark=reading.mark.moved(top))


def move_spot(
    panel: Panel, width: int, height: int, spot: Spot | None, dx: int, dy: int, *, place: str = ""
) -> Spot | None:
    """The datum `dx` to the right and `dy` down of `spot`, or near the middle, as they are drawn.

    One step is one thing that is drawn: a value or block of a matrix, an image, a bar, the next point.
    """
    if width < 1 or height < 1 or not panel.array.size:
        return None
    _, rows, _ = _frame(panel, place, width, height)
    if rows < 1:
        return None
    drawing = _DRAWINGS[panel.kind]
    if spot is None or drawing.read(panel, width, rows, spot) is None:
        middle = drawing.locate(panel, width, rows, rows // 2, width // 3)
        return middle or drawing.locate(panel, width, rows, 0, 0) or Spot(0, 0)
    return drawing.move(panel, width, rows, spot, dx, dy)


def picture_rows(panel: Panel, width: int, height: int, *, place: str = "") -> tuple[int, int]:
    """The first row of the picture in `draw_panel`, and how many it has."""
    return _frame(panel, place, width, height)[:2]


def _frame(panel: Panel, place: str, width: int, height: int) -> tuple[int, int, list[str]]:
    """The first row of the picture, its rows, and the lines below it."""
    below = _lines_below(panel, place, width, height)
    top = 1 if height >= 3 else 0
    return top, height - top - len(below), below


def _fitting(parts: Sequence[str], ranks: Sequence[int], width: int) -> list[str]:
    """The parts that fit into a row with dots between them, the lowest ranks first, in their own order."""
    kept = sorted((index for index, part in enumerate(parts) if part), key=lambda index: ranks[index])
    while len(kept) > 1 and sum(text_width(parts[index]) + 3 for index in kept) - 3 > width:
        kept.pop()
    return [parts[index] for index in sorted(kept)]


def _summarized(panel: Panel) -> bool:
    return panel.kind == "matrix" and bool(summary(panel))


class _Place(str):
    """The line below a picture that says where it lies; not a caption."""

    __slots__ = ()


def _caption_lines(below: Sequence[str]) -> list[str]:
    return [line for line in below if not isinstance(line, _Place)]


def _lines_below(panel: Panel, place: str, width: int, height: int) -> list[str]:
    """Summary, caption, axes and place, as far as there is room for them."""
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
    if _summarized(panel):
        first = summary(panel) if text_width(summary(panel)) <= width else summary(panel, short=True)
        lines = [first, *lines] if height >= _ROWS_FOR_SUMMARY else [first]
    return [*lines, _Place(place)] if place else lines
