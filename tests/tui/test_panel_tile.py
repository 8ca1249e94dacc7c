"""The tile of a panel: its cursor by keys and mouse, its difference, its close-up, how often it is drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.widget import Widget

from sslterm.render.cursor import Spot
from sslterm.tui.graphics import HALF, Graphics
from sslterm.tui.widgets import panel_tile
from sslterm.tui.widgets.panel_tile import PanelTile
from tests.tui.drive import until
from tests.tui.recorded import correlation, digits


class OneTile(App[None]):
    CSS = "PanelTile { width: 60; height: 20; }"

    def __init__(self, graphics: Graphics = HALF) -> None:
        super().__init__(ansi_color=True)
        self.tile = PanelTile("panel:cross-correlation", graphics=graphics)

    def compose(self) -> ComposeResult:
        yield self.tile


Script = Callable[[PanelTile, Pilot[None]], Awaitable[None]]


def play(script: Script, size: tuple[int, int] = (80, 24), graphics: Graphics = HALF) -> None:
    async def run() -> None:
        app = OneTile(graphics)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(app.tile, pilot)

    asyncio.run(run())


def text(tile: PanelTile) -> str:
    assert tile.shown is not None
    return tile.shown.plain()


def test_the_cursor_stays_in_the_next_drawing_and_goes_with_another_panel() -> None:
    async def script(tile: PanelTile, pilot: Pilot[None]) -> None:
        tile.show(correlation(0.25, 16), when="at 256 k images", place="panels/a.png")
        assert "diagonal" in text(tile)
        tile.move_cursor(0, 0)
        tile.move_cursor(1, 0)
        was = tile.cursor
        assert was is not None
        first = text(tile).splitlines()[-2]
        assert first.startswith(f"({was.row}, {was.column}) ")
        tile.show(correlation(0.75, 16), when="at 512 k images", place="panels/b.png")
        assert tile.cursor == was
        assert text(tile).splitlines()[-2].startswith(f"({was.row}, {was.column}) ")
        assert text(tile).splitlines()[-2] != first
        assert text(tile).splitlines()[-1] == "panels/b.png"
        tile.show(digits())
        assert tile.cursor is None
        tile.show(None, trouble="the panel is damaged")
        assert "the panel is damaged" in text(tile)
        tile.move_cursor(1, 0)
        assert tile.cursor is None

    play(script)


def test_the_mouse_reads_what_it_is_over_and_leaves_nothing_behind() -> None:
    async def script(tile: PanelTile, pilot: Pilot[None]) -> None:
        tile.show(correlation(0.5, 16))
        plain = text(tile)
        await pilot.hover(PanelTile, offset=(0, 1))
        assert tile.cursor == Spot(0, 0)
        assert "(0, 0) " in text(tile)
        await pilot.hover(PanelTile, offset=(59, 19))
        assert tile.cursor is None
        assert text(tile) == plain
        tile.move_cursor(0, 0)
        await pilot.hover(PanelTile, offset=(59, 19))  # keys put it there, so it stays
        assert tile.cursor is not None
        tile.clear_cursor()
        assert text(tile) == plain

    play(script)


def test_the_difference_says_since_when_and_is_read() -> None:
    async def script(tile: PanelTile, pilot: Pilot[None]) -> None:
        before, now = correlation(0.25, 16), correlation(0.75, 16)
        tile.show(now, before=before, since="256 k images", when="at 512 k images")
        tile.difference = True
        assert "change since 256 k images" in text(tile).splitlines()[0]
        tile.move_cursor(0, 0)
        assert tile.cursor is not None
        change = now.array[tile.cursor] - before.array[tile.cursor]
        assert tile.reading is not None
        assert float(tile.reading.text.split()[2]) == pytest.approx(change, abs=0.005)
        tile.show(now, when="at 512 k images")
        assert "no drawing before this one" in text(tile).splitlines()[0]
        tile.difference = False
        assert "change" not in text(tile)

    play(script)


def test_the_image_under_the_cursor_close_up() -> None:
    async def script(tile: PanelTile, pilot: Pilot[None]) -> None:
        samples = replace(digits(16), name="samples")
        tile.show(samples)
        tile.move_cursor(0, 0)
        tile.move_cursor(-20, -20)
        tile.move_cursor(1, 0)
        assert tile.cursor == Spot(0, 1)
        tile.zoomed = True
        assert "1 image of 16x16" in text(tile)
        assert "image 2 of 16" in text(tile)
        tile.show(replace(samples, array=1 - samples.array))
        assert "image 2 of 16" in text(tile)
        tile.zoomed = False
        assert "16 images of 16x16" in text(tile)

    play(script)


def test_a_heatmap_is_not_drawn_too_often_but_keys_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_tile, "SECONDS_A_HEATMAP", 0.4)

    async def script(tile: PanelTile, pilot: Pilot[None]) -> None:
        panels = [correlation(share, 16) for share in (0.0, 0.25, 0.5, 0.75)]
        tile.show(panels[0], at_once=False)
        first = tile.shown
        tile.show(panels[1], at_once=False)
        tile.show(panels[2], at_once=False)
        assert tile.shown is first
        assert tile.panel is panels[0]
        tile.move_cursor(0, 0)
        assert tile.shown is not first
        assert tile.panel is panels[0]
        await until(lambda: tile.panel is panels[2])
        tile.show(panels[3])  # a person asked
        assert tile.panel is panels[3]
        for panel in panels[:3]:  # a key is held
            tile.show(panel)
        assert tile.panel is panels[3]
        await until(lambda: tile.panel is panels[2])
        others = [replace(digits(), array=np.clip(digits().array * share, 0, 1)) for share in (0.5, 1)]
        for one in others:
            tile.show(one, at_once=False)
            assert tile.panel is one

    play(script)


def test_the_same_again_sends_nothing() -> None:
    async def script(tile: PanelTile, pilot: Pilot[None]) -> None:
        panel = correlation(0.5, 16)
        tile.show(panel, when="at 1 k images")
        shown = tile.shown
        tile.show(panel, when="at 1 k images")
        assert tile.shown is shown

    play(script)


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (250, 80)])
def test_without_colour_at_any_size(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def script(tile: PanelTile, pilot: Pilot[None]) -> None:
        for panel in (correlation(0.5, 16), digits()):
            tile.show(panel, place="panels/a.png")
            tile.move_cursor(0, 0)
            tile.move_cursor(1, 1)
            assert tile.shown is not None
            assert (tile.shown.fg == -1).all()

    play(script, size)


class Pictures(Graphics):
    """A terminal with pixels of its own, which shows nothing of them."""

    def widget(self, picture: Image.Image) -> Widget:
        return Widget(name=f"{picture.width}x{picture.height}")


def test_pictures_in_the_terminal_s_pixels_stay_until_something_else_is_to_be_seen() -> None:
    async def script(tile: PanelTile, pilot: Pilot[None]) -> None:
        async def pictures() -> list[Widget]:
            await pilot.pause()
            return list(tile.children)

        tile.show(digits(16), place="panels/a.png")
        (first,) = await pictures()
        assert first.region.offset == tile.region.offset + Offset(0, 1)
        assert first.name == f"{10 * first.region.width}x{20 * first.region.height}"
        tile.select(True)
        await pilot.hover(PanelTile, offset=(1, 2))  # it stands above the tile, and hands on the mouse
        assert await pictures() == [first]
        assert tile.cursor == Spot(0, 0)
        tile.move_cursor(1, 0)
        assert await pictures() == []  # the mark is to be seen
        tile.zoomed = True
        (close,) = await pictures()
        tile.select(False)
        assert await pictures() == [close]
        tile.zoomed = False
        tile.clear_cursor()
        tile.show(replace(digits(16), array=1 - digits(16).array))
        (other,) = await pictures()
        assert other not in (first, close)
        tile.show(None, trouble="it is damaged")
        assert await pictures() == []

    play(script, graphics=Pictures("kitty"))
