"""A chart as a tile: what mouse and keys ask for, and what is sent for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
from textual.app import App, ComposeResult
from textual.events import MouseScrollUp
from textual.pilot import Pilot

from sslterm.render.charts import choose_charts
from sslterm.render.view import ChartView
from sslterm.tui.widgets.chart import ChartTile
from sslterm.tui.widgets.curves import ZOOM, CurveTile
from sslterm.tui.widgets.tile import Tile
from tests.test_render_charts import Points


def series(count: int = 1000) -> dict[str, Points]:
    step = np.arange(count)
    return {"main/loss": Points(step, step * 256, step / 10, 1 / (1 + step / 100))}


class OneChart(App[None]):
    """A chart, and a screen that gives it every view that it asks for."""

    def __init__(self) -> None:
        super().__init__(ansi_color=True)
        self.tile = ChartTile(choose_charts(series())[0])
        self.asked: list[ChartView] = []
        self.chosen: list[bool] = []

    def compose(self) -> ComposeResult:
        yield self.tile

    def on_mount(self) -> None:
        self.tile.styles.height = "100%"
        self.tile.tell(series(), ChartView())

    def on_curve_tile_view_changed(self, message: CurveTile.ViewChanged) -> None:
        self.asked.append(message.view)
        self.tile.tell(series(), message.view)

    def on_tile_chosen(self, message: Tile.Chosen) -> None:
        self.chosen.append(message.enlarge)


def drive(
    script: Callable[[OneChart, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 20)
) -> None:
    async def play() -> None:
        app = OneChart()
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(app, pilot)

    asyncio.run(play())


def test_hovering_reads_the_curve_and_leaving_ends_it() -> None:
    async def script(app: OneChart, pilot: Pilot[None]) -> None:
        await pilot.hover(ChartTile, offset=(40, 8))
        await pilot.pause()
        place = app.tile.view.cursor
        assert place is not None
        assert app.tile.place_at(40) == place
        assert app.tile.shown is not None
        assert f"step {round(place):,}" in app.tile.shown.text(0)

    drive(script)


def test_the_wheel_zooms_about_the_pointer() -> None:
    async def script(app: OneChart, pilot: Pilot[None]) -> None:
        before = app.tile.place_at(50)
        await pilot._post_mouse_events(  # Pilot has no public wheel
            [MouseScrollUp], ChartTile, offset=(50, 8)
        )
        await pilot.pause()
        assert before is not None
        after = app.tile.place_at(50)
        assert after is not None
        assert abs(after - before) < 1e-6
        window = app.tile.view.window
        assert window is not None
        assert window[1] - window[0] < 0.85 * 1024

    drive(script)


def test_a_burst_of_the_wheel_counts_every_turn() -> None:
    async def script(app: OneChart, pilot: Pilot[None]) -> None:
        tile = app.tile
        turn = MouseScrollUp(tile, 50, 8, 0, 0, 0, False, False, False)
        for _ in range(5):  # before the screen has answered the first
            tile.on_mouse_scroll_up(turn)
        await pilot.pause()
        assert tile.domain is not None
        low, high = tile.view.shown(tile.domain)
        assert abs((high - low) / 1024 - ZOOM**5) < 0.01
        assert app.asked[-1] == tile.view

    drive(script)


def test_dragging_pans() -> None:
    async def script(app: OneChart, pilot: Pilot[None]) -> None:
        app.tile.tell(series(), ChartView(window=(400.0, 600.0)))
        grabbed = app.tile.place_at(50)
        await pilot.mouse_down(ChartTile, offset=(50, 8))
        await pilot.hover(ChartTile, offset=(30, 8))
        await pilot.mouse_up(ChartTile, offset=(30, 8))
        await pilot.pause()
        window = app.tile.view.window
        assert window is not None
        assert window[0] > 440
        assert abs(window[1] - window[0] - 200) < 1e-6
        place = app.tile.place_at(30)
        assert grabbed is not None
        assert place is not None
        assert abs(place - grabbed) < 4

    drive(script)


def test_a_double_click_enlarges() -> None:
    async def script(app: OneChart, pilot: Pilot[None]) -> None:
        await pilot.double_click(ChartTile, offset=(30, 8))
        await pilot.pause()
        assert app.chosen == [False, True]

    drive(script)


def test_what_keys_ask_for() -> None:
    async def script(app: OneChart, pilot: Pilot[None]) -> None:
        tile = app.tile
        assert tile.cursor_moved(-1).cursor == 999.0
        assert tile.cursor_moved(1).cursor == 0.0
        tile.tell(series(), ChartView(window=(400.0, 600.0), cursor=500.0))
        assert tile.zoomed(0.5).window == (450.0, 550.0)
        assert tile.panned(0.5).window == (500.0, 700.0)
        moved = tile.cursor_moved(1).cursor
        assert moved is not None
        assert 502 < moved < 504
        assert tile.reset() == ChartView()

    drive(script)


def test_the_cursor_goes_from_point_to_point_where_they_are_far_apart() -> None:
    async def script(app: OneChart, pilot: Pilot[None]) -> None:
        tile, places = app.tile, np.array([0, 300, 500, 900])
        few = {"main/loss": Points(places, places, places / 10, np.arange(4.0))}
        view, seen = ChartView(cursor=900.0), []
        for by in (-1, -1, -1, -1, 1, 1, 1, 1):
            tile.tell(few, view)
            view = tile.cursor_moved(by)
            seen.append(view.cursor)
        assert seen == [500.0, 300.0, 0.0, 0.0, 300.0, 500.0, 900.0, 900.0]
        tile.tell(few, ChartView(window=(400.0, 600.0), cursor=500.0))
        further = tile.cursor_moved(1)
        assert further.cursor == 900.0
        assert further.window == (700.0, 900.0)

    drive(script)


def test_nothing_new_sends_nothing_and_a_few_points_send_little() -> None:
    async def script(app: OneChart, pilot: Pilot[None]) -> None:
        sent: list[int] = []
        app.tile.refresh = lambda *regions, **_: sent.extend(r.width for r in regions) or app.tile  # type: ignore
        app.tile.redraw()
        assert sent == []
        app.tile.tell(series(1003), app.tile.view)
        assert 0 < sum(sent) < 200

    drive(script)


def test_small_and_empty() -> None:
    async def script(app: OneChart, pilot: Pilot[None]) -> None:
        app.tile.tell({}, replace(ChartView(), cursor=4.0, window=(1.0, 2.0)))
        assert app.tile.place_at(10) is None
        assert app.tile.zoomed(0.5) == app.tile.view
        await pilot.hover(ChartTile, offset=(5, 2))
        app.tile.tell({"main/loss": Points(*(np.array([0]) for _ in range(3)), np.array([1.0]))}, ChartView())
        assert app.tile.shown is not None

    drive(script, size=(20, 5))
