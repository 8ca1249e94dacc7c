"""The same panel of several runs side by side, as it was after the same number of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sslterm.errors import DataError
from sslterm.render.bars import bar_range
from sslterm.render.cells import Cells, fit
from sslterm.render.overlay import letter
from sslterm.render.palette import ACCENT, GROUND, MUTED, categorical
from sslterm.render.panel import draw_panel
from sslterm.render.quantity import amount
from sslterm.run.comparison import drawn_by, seeds_of
from sslterm.run.panels import Panel
from sslterm.run.reader import RunReader

LEAST_WIDTH: Final = 20
"""Cells that a panel needs to be seen beside others."""
_LEAST_HEIGHT: Final = 8
_GAP: Final = 2


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One run's drawing of a panel.

    Attributes:
        place: of the run, in the order of choosing.
        when: when it was made, e.g. "at 512 k images".
        panel: None where there is none, and `trouble` says why.
    """

    place: int
    name: str
    when: str = ""
    panel: Panel | None = None
    trouble: str = "no such panel"


def shot_of(reader: RunReader, place: int, panel: str, at: int | None) -> Shot:
    """One run's drawing of a panel at or before `at` images, or why there is none."""
    name = reader.run.name
    if panel not in reader.panels:
        return Shot(place=place, name=name)
    images = drawn_by(reader, panel, at)
    if images is None:
        return Shot(place=place, name=name, trouble="not drawn yet")
    try:
        return Shot(
            place=place, name=name, when=f"at {amount(images)} images", panel=reader.panel(panel, images)
        )
    except DataError as error:
        return Shot(place=place, name=name, trouble=error.message)


def seeds_note(shots: Sequence[Shot]) -> str:
    """What captions say of seeds: "seed 0", "different seeds: 0, 3", or ""."""
    seeds = seeds_of(shot.panel for shot in shots if shot.panel is not None)
    if len(seeds) > 1:
        return f"different seeds: {', '.join(map(str, seeds))}"
    return f"seed {seeds[0]}" if seeds else ""


def on_one_scale(shots: Sequence[Shot]) -> list[Shot]:
    """The same shots with one range of values where their panels leave it open: equal colours are equal values."""
    panels = [shot.panel for shot in shots if shot.panel is not None]
    kinds = {panel.kind for panel in panels}
    if len(kinds) != 1 or not kinds <= {"bars", "curve", "matrix"}:
        return list(shots)
    if kinds == {"bars"}:
        ends = [bar_range(panel) for panel in panels]
    else:
        finite = [panel.array[np.isfinite(panel.array)] for panel in panels]
        ends = [(float(values.min()), float(values.max())) for values in finite if values.size]
    if not ends:
        return list(shots)
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)

    def scaled(panel: Panel | None) -> Panel | None:
        if panel is None:
            return None
        return replace(
            panel,
            low=low if panel.low is None else panel.low,
            high=high if panel.high is None else panel.high,
        )

    return [replace(shot, panel=scaled(shot.panel)) for shot in shots]


@dataclass(frozen=True)
class Slots:
    """Where shots stand: `down` rows of `across`, the first of them `first`; cells of one."""

    first: int
    across: int
    down: int
    width: int
    height: int

    def box(self, index: int) -> tuple[int, int]:
        """(row, column) of the upper left corner of shot `first + index`."""
        row, column = divmod(index, self.across)
        return row * self.height, column * (self.width + _GAP)


def slots_for(count: int, width: int, height: int, marked: int | None) -> Slots:
    """The places for `count` shots in `width` x `height` cells: as large as can be, or some of them around `marked`."""
    most_across = max((width + _GAP) // (LEAST_WIDTH + _GAP), 1)
    most_down = max(height // _LEAST_HEIGHT, 1)

    def side(across: int) -> float:
        down = -(-count // across)
        return min((width + _GAP) / across - _GAP, 2 * (height / down - 1))

    fitting = [across for across in range(1, min(count, most_across) + 1) if -(-count // across) <= most_down]
    across = max(fitting, key=lambda across: (side(across), across), default=min(count, most_across))
    down = min(-(-count // across), most_down) if count else 1
    shown = across * down
    first = min(max((marked or 0) - shown + 1, 0), max(count - shown, 0))
    return Slots(first, across, down, (width - _GAP * (across - 1)) // across, height // down)


def draw_side_by_side(
    shots: Sequence[Shot],
    width: int,
    height: int,
    *,
    color: bool,
    title: str,
    selected: bool,
    marked: int | None,
) -> Cells:
    """The shots within `width` x `height` cells under a title; the run that is marked stays in sight.

    Args:
        title: what the panel is.
        selected: whether the title is marked.
        marked: index of the shot that keys act on.
    """
    cells = Cells.blank(width, height)
    if width < 1 or height < 1:
        return cells
    slots = slots_for(len(shots), width, height - 1, marked)
    shown = shots[slots.first : slots.first + slots.across * slots.down]
    out_of_sight = f"{slots.first + 1}-{slots.first + len(shown)} of {len(shots)} runs"
    parts = [title, seeds_note(shots), out_of_sight if len(shown) < len(shots) else ""]
    text = ("▸ " if selected else "") + " · ".join(part for part in parts if part)
    cells.put(fit(text, width), 0, 0, ACCENT if selected else GROUND)
    for index, shot in enumerate(on_one_scale(shown)):
        row, column = slots.box(index)
        one = _draw_shot(shot, slots.width, min(slots.height, height - 1 - row), color=color)
        cells.paste(one, row + 1, column)
    return cells if color else cells.uncolored()


def _draw_shot(shot: Shot, width: int, height: int, *, color: bool) -> Cells:
    """A run's letter, name and time over its panel, or why there is none."""
    title = f"{letter(shot.place)} {shot.name}"
    if shot.panel is None:
        cells = Cells.blank(width, height)
        cells.put(fit(title, width), 0, 0)
        cells.put(fit(shot.trouble, width), min(height // 2, max(height - 1, 0)), 0, MUTED)
    else:
        cells = draw_panel(replace(shot.panel, name=title), width, height, color=color, when=shot.when)
    if cells.height >= 3 or shot.panel is None:
        cells.fg[:1, : len(letter(shot.place))] = categorical(shot.place) if color else GROUND
    return cells
