"""What is sent of a change: on a terminal it shows the same as all of it, in fewer bytes."""

from __future__ import annotations

import numpy as np
import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from sslterm.render.cells import Cells
from sslterm.render.palette import GROUND
from sslterm.render.theme import DARK
from sslterm.tui.spans import as_sent, shortened
from sslterm.tui.widgets.canvas import to_strip

WIDTH, HEIGHT, SEAM = 40, 3, 20
CONSOLE = Console(color_system="truecolor", force_terminal=True)


def drawn(seed: int, *, like: Cells | None = None) -> Cells:
    """Braille in a few colours on a few grounds, with a letter here and there and a wide glyph; mostly as `like`."""
    rng = np.random.default_rng(seed)
    cells = Cells.blank(WIDTH, HEIGHT)
    shape = HEIGHT, WIDTH
    cells.glyphs[:] = rng.choice([0x20, 0x2801, 0x28FF, ord("x")], shape)
    cells.fg[:] = rng.choice([GROUND, 0x56B4E9, 0xE69F00], shape)
    cells.bg[:] = rng.choice([GROUND, GROUND, 0x102030], shape)
    if like is not None:
        kept = (rng.random(shape) < 0.8) & (like.glyphs > 0) & (like.glyphs < 0x3000)
        for mine, theirs in ((cells.glyphs, like.glyphs), (cells.fg, like.fg), (cells.bg, like.bg)):
            mine[kept] = theirs[kept]
    cells.put(
        str(rng.choice(["目", "本"])), int(rng.integers(HEIGHT)), 2 * int(rng.integers(WIDTH // 2)), 0x2DB88D
    )
    return cells


def strips_of(cells: Cells) -> list[Strip]:
    return [to_strip(cells, row, DARK) for row in range(HEIGHT)]


def whole(cells: Cells) -> str:
    """What Textual sends for all of them."""
    return layout_of(cells).render_segments(CONSOLE)


def layout_of(cells: Cells) -> LayoutUpdate:
    return LayoutUpdate([[strip] for strip in strips_of(cells)], Region(0, 0, WIDTH, HEIGHT))


def update_of(after: Cells, before: Cells | None) -> ChopsUpdate:
    """What Textual sends for the changes, where two widgets stand side by side."""
    chops = [{0: strip.crop(0, SEAM), SEAM: strip.crop(SEAM)} for strip in strips_of(after)]
    return ChopsUpdate(chops, after.changes(before), [[SEAM, WIDTH]] * HEIGHT)


def screen_after(*texts: str) -> list[list[tuple[str, str, str]]]:
    """Every cell that a terminal shows after some texts: glyph, colour, ground; a space has no colour."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(screen)
    for text in texts:
        stream.feed(text)
    rows = [[screen.buffer[y][x] for x in range(WIDTH)] for y in range(HEIGHT)]
    return [[(cell.data, cell.fg if cell.data.strip() else "", cell.bg) for cell in row] for row in rows]


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_the_spans_that_changed_make_the_new_screen_of_the_old(seed: int) -> None:
    before = drawn(seed)
    after = drawn(seed + 1, like=before)
    update = update_of(after, before)
    sent = as_sent(update).render_segments(CONSOLE)
    assert screen_after(whole(before), sent) == screen_after(whole(after))
    assert len(sent) < len(update.render_segments(CONSOLE))


def test_one_cell_at_the_end_of_a_row_is_one_cell() -> None:
    before = drawn(3)
    after = Cells(before.glyphs.copy(), before.fg.copy(), before.bg.copy())
    after.put("!", 1, WIDTH - 1, 0xFF0000)
    after.bg[1, WIDTH - 1] = GROUND
    sent = as_sent(update_of(after, before)).render_segments(CONSOLE)
    assert sent == f"\x1b[2;{WIDTH}H\x1b[38;2;255;0;0m!\x1b[0m"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("plain", "plain"),
        ("\x1b[31ma\x1b[0m\x1b[31mb\x1b[0m", "\x1b[31mab\x1b[0m"),
        ("\x1b[31ma\x1b[0m\x1b[5;3H\x1b[31mb\x1b[0m", "\x1b[31ma\x1b[5;3Hb\x1b[0m"),
        ("\x1b[31;44ma\x1b[0m\x1b[32;44mb\x1b[0m", "\x1b[31;44ma\x1b[32mb\x1b[0m"),
        ("\x1b[31;44ma\x1b[0m\x1b[31mb\x1b[0m", "\x1b[31;44ma\x1b[49mb\x1b[0m"),
        ("\x1b[31;44ma\x1b[0m\x1b[44mb\x1b[0m", "\x1b[31;44ma\x1b[39mb\x1b[0m"),
        ("\x1b[1;31ma\x1b[0m\x1b[31mb\x1b[0m", "\x1b[0;1;31ma\x1b[0;31mb\x1b[0m"),
        ("\x1b[38;5;9;48;5;4ma\x1b[0m c", "\x1b[38;5;9;48;5;4ma\x1b[0m c"),
        ("\x1b[38;2;1;31;44;48;2;5;5;5ma\x1b[0m", "\x1b[38;2;1;31;44;48;2;5;5;5ma\x1b[0m"),
        ("\x1b[31m\x1b[0mx", "x"),
    ],
)
def test_styles_are_sent_as_far_as_they_change(text: str, short: str) -> None:
    assert shortened(text) == short


def test_a_picture_is_sent_whole_and_what_is_no_update_of_spans_is_left_alone() -> None:
    picture = Strip(
        [Segment("\x1bPq...\x1b\\", None, ((ControlType.CURSOR_FORWARD, 0),)), Segment(" " * WIDTH)]
    )
    update = ChopsUpdate([{0: picture}], [(0, 30, WIDTH)], [[WIDTH]])
    assert as_sent(update).render_segments(CONSOLE).startswith("\x1b[1;1H\x1bPq...\x1b\\")
    other = Control.home()
    assert as_sent(other) is other
    assert as_sent(None) is None


def test_all_of_the_screen_is_sent_with_fewer_styles() -> None:
    cells = drawn(5)
    sent = as_sent(layout_of(cells)).render_segments(CONSOLE)
    assert screen_after(sent) == screen_after(whole(cells))
    assert len(sent) < 0.8 * len(whole(cells))
