"""What holds on every screen: the palette, the mouse on keys and questions, and that what is seen can be written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image
from textual.command import CommandPalette
from textual.events import MouseScrollDown
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import OptionList

from sslterm.run.control import pending
from sslterm.run.layout import RunDirectory
from sslterm.tui import keys as tables
from sslterm.tui.key import Key, keys_of
from sslterm.tui.screens.compare import CompareScreen
from sslterm.tui.screens.dialog import KeyList, Question
from sslterm.tui.screens.embedding import EmbeddingScreen
from sslterm.tui.screens.home import HomeScreen
from sslterm.tui.screens.latent import LatentScreen
from sslterm.tui.screens.new_run import NewRunScreen
from sslterm.tui.screens.text import TextScreen
from sslterm.tui.screens.watch import Outcome, WatchScreen
from tests.tui.drive import drive, text_of, until
from tests.tui.recorded import full_run, new_run

SCREENS = {
    WatchScreen: tables.WATCH_KEYS,
    TextScreen: tables.TEXT_KEYS,
    HomeScreen: (*tables.HOME_KEYS, *tables.QUERY_KEYS),
    NewRunScreen: (*tables.FORM_KEYS, *tables.CHOOSE_KEYS),
    LatentScreen: tables.LATENT_KEYS,
    EmbeddingScreen: tables.EMBEDDING_KEYS,
    CompareScreen: tables.COMPARE_KEYS,
}


@pytest.mark.parametrize(("screen", "keys"), SCREENS.items())
def test_every_key_of_the_table_does_something(screen: type[Screen[None]], keys: tuple[Key, ...]) -> None:
    for key in keys:
        if key.action and not key.action.startswith("app."):
            assert hasattr(screen, f"action_{key.action.partition('(')[0]}"), key


@pytest.mark.parametrize("make", [HomeScreen, WatchScreen, CompareScreen, NewRunScreen])
def test_the_palette_lists_every_key_with_its_sign(tmp_path: Path, make: type[Screen[None]]) -> None:
    run = full_run(tmp_path)
    given = {WatchScreen: run, CompareScreen: [run]}.get(make, tmp_path)
    screen = make(given)  # type: ignore[arg-type]

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("ctrl+p")
        wanted = [f"{key.help}  {key.sign}" for key in keys_of(screen) if key.action and key.help]
        wanted = [text for text in wanted if not text.endswith("ctrl-p")]
        palette = pilot.app.screen
        assert isinstance(palette, CommandPalette)
        listed = palette.query_one(OptionList)
        await until(lambda: listed.option_count == len(wanted))
        assert [str(option.prompt) for option in listed.options] == wanted
        await pilot.press("escape")

    drive([screen], script)


def test_a_click_on_a_key_does_what_the_key_does(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        shown = screen.key_bar.shown
        assert shown is not None
        text = shown.plain()
        await pilot.click(screen.key_bar, offset=(text.index("checkpoint"), 0))
        assert [request.do for request in pending(run)] == ["checkpoint"]
        screen.say("")
        await pilot.click(screen.key_bar, offset=(text.index("? keys") - 1, 0))  # between two keys
        assert pilot.app.screen is screen
        await pilot.click(screen.key_bar, offset=(text.index("? keys"), 0))
        assert isinstance(pilot.app.screen, KeyList)

    drive([screen], script)


def test_questions_are_answered_by_clicks(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("S")
        question = pilot.app.screen
        assert isinstance(question, Question)
        await pilot.click(question.sheet, offset=(6, 1))  # the title is no answer
        assert pilot.app.screen is question
        await pilot.click(offset=(0, 0))  # beside it: nothing is asked for
        assert pilot.app.screen is screen
        await pilot.press("S")
        question = pilot.app.screen
        assert isinstance(question, Question)
        shown = question.sheet.shown
        assert shown is not None
        row = next(row for row, line in enumerate(shown.plain().splitlines()) if "save and stop" in line)
        await pilot.click(question.sheet, offset=(10, row))
        assert [request.do for request in pending(run)] == ["stop"]

    drive([screen], script)


def test_the_wheel_scrolls_the_help_and_a_click_ends_it(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("question_mark")
        keys = pilot.app.screen
        assert isinstance(keys, KeyList)
        keys.sheet.post_message(MouseScrollDown(keys.sheet, 30, 5, 0, 0, 0, False, False, False))
        await until(lambda: keys.sheet.top == 3)
        await pilot.click(keys.sheet)
        assert pilot.app.screen is screen

    drive([screen], script, (60, 16))


# what is written


def test_the_list_of_runs_is_written(tmp_path: Path) -> None:
    full_run(tmp_path, "vae-digits-1")
    other = new_run(tmp_path, "dcgan-digits-1", "dcgan")
    with other.config.open("a") as file:
        file.write("[optim.main]\nlr = 0.5\n")
    home = HomeScreen(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        for key in "std":
            await pilot.press("w", key)
            assert home.key_bar.notice.startswith(f"wrote {tmp_path}/")

    drive([home], script)
    (table,) = tmp_path.glob("runs-*.csv")
    rows = {row["name"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert rows["vae-digits-1"]["test/knn"] == "0.842"
    assert rows["vae-digits-1"]["optim.main.lr"] == ""
    assert rows["dcgan-digits-1"]["optim.main.lr"] == "0.5"
    (text,) = tmp_path.glob("screen-*.txt")
    assert "vae-digits-1" in text.read_text()
    assert len(list(tmp_path.glob("screen-*.svg"))) == 1


def test_all_that_is_on_the_screen_is_one_picture(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)
    sizes = []

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("w", "a")
        assert "wrote" in text_of(screen)
        await pilot.press("enter", "w", "a")  # the first panel alone

    drive([screen], script)
    for path in sorted((run.path / "outputs").glob("screen-*.png")):
        with Image.open(path) as picture:
            sizes.append(picture.size)
    assert len(sizes) == 2
    widest, narrowest = max(sizes), min(sizes)
    assert widest[0] > narrowest[0] + 640


def test_an_empty_run_has_nothing_to_draw_but_its_screen_is_written(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "vae-1")
    new_run(tmp_path, "vae-1")
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("w", "a")
        assert "there are neither charts nor panels yet" in text_of(screen)
        await pilot.press("w", "t")
        assert "wrote" in text_of(screen)

    drive([screen], script)


def test_the_screen_of_an_explorer_is_written(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = LatentScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("W", "t")
        assert "wrote" in screen.key_bar.notice

    drive([screen], script)
    (path,) = (run.path / "outputs").glob("screen-*.txt")
    assert "no checkpoint yet" in path.read_text()
