"""Tiles: where they stand, how they are arranged and remembered, read, zoomed and scrubbed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from sslterm.tui.arrangement import Arrangement, read_arrangement
from sslterm.tui.mosaic import Place, lay_out
from sslterm.tui.screens.watch import Outcome, WatchScreen
from sslterm.tui.settings import Settings, load_settings, save_settings
from sslterm.tui.widgets.chart import ChartTile
from sslterm.tui.widgets.panel_tile import PanelTile
from tests.tui.drive import drive, text_of, until
from tests.tui.recorded import full_run

CHARTS = [f"chart:{number}" for number in range(7)]
PANELS = [f"panel:{number}" for number in range(5)]


def cells_of(place: Place) -> set[tuple[int, int]]:
    return {
        (x, y) for x in range(place.x, place.x + place.width) for y in range(place.y, place.y + place.height)
    }


@given(
    width=st.integers(1, 260),
    height=st.integers(1, 90),
    charts=st.integers(0, 7),
    panels=st.integers(0, 5),
    at=st.integers(0, 11),
    enlarged=st.booleans(),
)
def test_tiles_lie_within_the_grid_apart_and_with_the_selected_one_among_them(
    width: int, height: int, charts: int, panels: int, at: int, enlarged: bool
) -> None:
    keys = [*PANELS[:panels], *CHARTS[:charts]]
    selected = keys[at % len(keys)] if keys else ""
    places = lay_out(
        width, height, charts=CHARTS[:charts], panels=PANELS[:panels], selected=selected, enlarged=enlarged
    )
    taken: set[tuple[int, int]] = set()
    for place in places:
        cells = cells_of(place)
        assert cells
        assert not taken & cells
        taken |= cells
    assert all(0 <= x < width and 0 <= y < height for x, y in taken)
    assert bool(places) == bool(keys)
    if keys:
        assert selected in [place.key for place in places]
    if keys and enlarged:
        assert len(taken) == width * height


def test_a_wide_screen_has_charts_at_the_left_and_small_panels_below_the_first() -> None:
    places = {
        place.key: place
        for place in lay_out(120, 32, charts=CHARTS, panels=PANELS, selected=PANELS[0], enlarged=False)
    }
    assert [key for key in places if key in CHARTS] == CHARTS[:4]
    assert [key for key in places if key in PANELS] == PANELS[:3]
    first, *small = (places[key] for key in PANELS[:3])
    assert all(place.y == first.height for place in small)
    assert all(place.x < first.x for key, place in places.items() if key in CHARTS)
    assert first.height > 1.5 * small[0].height


def test_a_panel_that_would_not_be_seen_takes_the_place_of_the_first_when_it_is_selected() -> None:
    places = lay_out(120, 32, charts=CHARTS, panels=PANELS, selected=PANELS[4], enlarged=False)
    assert PANELS[4] in [place.key for place in places]
    narrow = lay_out(50, 20, charts=CHARTS, panels=PANELS, selected=CHARTS[6], enlarged=False)
    assert CHARTS[6] in [place.key for place in narrow]
    assert not {place.key for place in narrow} & set(PANELS)


def test_an_arrangement_moves_hides_and_brings_back() -> None:
    keys = ["a", "b", "c", "d"]
    moved = Arrangement().moved("c", -1, keys)
    assert moved.of(keys) == ["a", "c", "b", "d"]
    assert moved.moved("c", -5, keys).of(keys) == ["c", "a", "b", "d"]
    assert moved.moved("c", 9, keys).of([*keys, "new"]) == ["a", "b", "d", "c", "new"]
    hidden = moved.without("a")
    assert hidden.of(keys) == ["c", "b", "d"]
    assert hidden.with_("a").of(keys) == ["a", "c", "b", "d"]
    assert hidden.moved("a", 1, keys) == hidden
    assert read_arrangement(json.loads(json.dumps(hidden.table()))) == hidden


@pytest.mark.parametrize("table", [None, 3, [], {"first": "abc"}, {"first": [1], "hidden": []}])
def test_what_is_no_arrangement_changes_nothing(table: object) -> None:
    assert read_arrangement(table).of(["a", "b"]) == ["a", "b"]


def test_settings_are_read_back_and_survive_damage(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "view.json"
    settings = Settings(theme="light").arranged("vae", Arrangement(("b", "a"), frozenset({"c"})))
    save_settings(settings, path)
    assert load_settings(path) == settings
    assert load_settings(path).arranged("vae", Arrangement()).arrangements == {}
    for damage in ("", "[1]", '{"theme": 3, "arrangements": [1]}', '{"arrangements": {"vae": 5}}'):
        path.write_text(damage)
        assert load_settings(path).theme == ""
        assert load_settings(path).arrangements.get("vae", Arrangement()) == Arrangement()
    save_settings(settings, Path("/proc/nowhere/view.json"))  # cannot be written: no reason to complain


def test_moving_and_hiding_is_remembered_for_the_method(tmp_path: Path) -> None:
    def keys(screen: WatchScreen) -> list[str]:
        return screen.board.keys

    first = WatchScreen(full_run(tmp_path))

    async def rearrange(pilot: Pilot[Outcome]) -> None:
        before = keys(first)
        await pilot.press("tab", "less_than_sign")  # the second panel before the first
        assert keys(first)[:2] == [before[1], before[0]]
        await pilot.press("tab", "tab", "tab")  # a chart
        hidden = first.board.selected
        await pilot.press("h")
        assert hidden not in keys(first)
        assert first.board.selected in keys(first)

    drive([first], rearrange)
    again, other = WatchScreen(first.reader.run), WatchScreen(full_run(tmp_path, "x-1", "dcgan"))

    async def look(pilot: Pilot[Outcome]) -> None:
        assert keys(again) == keys(first)

    drive([again], look)

    async def look_elsewhere(pilot: Pilot[Outcome]) -> None:
        assert len(keys(other)) == len(keys(first)) + 1

    drive([other], look_elsewhere)
    back = WatchScreen(first.reader.run)

    async def bring_back(pilot: Pilot[Outcome]) -> None:
        await pilot.press("a", "0")
        assert back.board.arrangement == Arrangement()
        assert len(keys(back)) == len(keys(first)) + 1

    drive([back], bring_back)


def test_a_chart_is_read_zoomed_and_shown_whole_again(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("tab", "tab")
        tile = screen.board.tile
        assert isinstance(tile, ChartTile)
        await pilot.press("left")
        newest = screen.board.view.cursor
        assert newest == 3120
        await pilot.press("shift+left")
        assert screen.board.view.cursor is not None
        assert screen.board.view.cursor < newest
        await pilot.press("plus", "plus")
        assert screen.board.view.window is not None
        low, high = screen.board.view.window
        assert low < screen.board.view.cursor < high
        await pilot.press("comma")
        assert screen.board.view.window[0] < low
        await pilot.press("e")
        assert "EMA 0.6" in text_of(screen)
        await pilot.press("escape")
        assert screen.board.view.window is None
        assert screen.board.view.cursor is None
        assert screen.board.view.smoothing == 0.6

    drive([screen], script)


def test_a_panel_is_read_by_arrows_until_escape(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("tab", "enter", "i")
        tile = screen.board.tile
        assert isinstance(tile, PanelTile)
        assert tile.reading is not None
        place = tile.cursor
        await pilot.press("down", "right")
        assert tile.cursor is not None
        assert place is not None
        assert (tile.cursor.row, tile.cursor.column) > (place.row, place.column)
        await pilot.press("d")
        assert tile.difference
        await until(lambda: "change since" in text_of(screen))
        await pilot.press("escape")
        assert tile.cursor is None
        assert not screen.inspecting
        assert screen.board.enlarged
        await pilot.press("escape")
        assert not screen.board.enlarged

    drive([screen], script)


def test_with_shift_all_panels_go_back_together(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("shift+left", "shift+left")
        shown = {key: history.shown() for key, history in screen.board.histories.items()}
        assert {drawing.images for drawing in shown.values() if drawing} == {256_000}
        await pilot.press("right", "right")
        newest = screen.board.histories["panel:reconstructions"].shown()
        other = screen.board.histories["panel:cross-correlation"].shown()
        assert newest is not None
        assert other is not None
        assert (newest.images, other.images) == (768_000, 256_000)

    drive([screen], script)


def test_a_click_selects_and_a_double_click_enlarges(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        tile = screen.board.tiles["chart:loss"]
        await pilot.click(tile, offset=(4, 1))
        assert screen.board.selected == "chart:loss"
        await pilot.click(tile, offset=(4, 1), times=2)
        await until(lambda: screen.board.enlarged and [t.key for t in screen.board.seen()] == ["chart:loss"])

    drive([screen], script)


def test_dragging_a_title_onto_another_tile_swaps_them_and_is_remembered(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))
    board = screen.board

    async def drag(pilot: Pilot[Outcome], key: str, onto: str) -> None:
        await pilot.mouse_down(board.tiles[key], offset=(3, 0))
        await pilot.hover(board.tiles[onto], offset=(5, 3))

    async def script(pilot: Pilot[Outcome]) -> None:
        charts = [tile.key for tile in board.seen() if tile.key in board.charts]
        panels = [tile.key for tile in board.seen() if tile.key in board.panels]
        places = {key: board.tiles[key].region for key in charts}
        await drag(pilot, charts[0], charts[2])
        assert "change places" in text_of(screen).splitlines()[-1]
        await until(lambda: board.view.cursor is None)  # nothing is read on the way
        assert [tile.key for tile in board.seen()][:3] == charts[:3]
        await pilot.mouse_up(board.tiles[charts[2]], offset=(5, 3))
        await pilot.pause()
        assert [board.tiles[key].region for key in (charts[2], charts[0])] == [
            places[charts[0]], places[charts[2]],
        ]  # fmt: skip
        assert board.selected == charts[0]
        assert "have changed places" in text_of(screen).splitlines()[-1]
        kept = board.arrangement
        await drag(pilot, charts[0], panels[0])  # of another kind
        assert "onto another chart" in text_of(screen).splitlines()[-1]
        await pilot.mouse_up(board.tiles[panels[0]], offset=(5, 3))
        await pilot.pause()
        assert board.arrangement == kept
        await pilot.mouse_down(board.tiles[charts[0]], offset=(3, 0))
        await pilot.mouse_up(board.tiles[charts[0]], offset=(3, 0))
        assert board.arrangement == kept
        assert board.view.window is None

    drive([screen], script)
    again = WatchScreen(screen.reader.run)

    async def look(pilot: Pilot[Outcome]) -> None:
        assert again.board.keys == board.keys

    drive([again], look)


def test_a_panel_that_stands_in_for_the_first_is_swapped_where_it_is_seen(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    for number in range(3):
        shutil.copytree(run.panels / "cross-correlation", run.panels / f"more-{number}")
    screen = WatchScreen(run)
    board = screen.board

    def shown() -> list[str]:
        return [tile.key for tile in board.seen() if tile.key in board.panels]

    async def script(pilot: Pilot[Outcome]) -> None:
        before = shown()
        board.select(board.panels[-1])
        await pilot.pause()
        last = shown()[0]
        assert shown() == [last, *before[1:]]
        board.swap(last, before[1])
        await pilot.pause()
        assert shown() == [before[1], last, *before[2:]]

    drive([screen], script)
