"""The list of runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from sslterm.run.layout import RunDirectory
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.screens.home import HomeScreen
from sslterm.tui.screens.watch import Outcome, WatchScreen
from tests.tui.drive import drive, until
from tests.tui.recorded import full_run, new_run, put_status


def text_of(home: HomeScreen) -> str:
    return home.list.shown.plain() if home.list.shown is not None else ""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    full_run(tmp_path, "vae-digits-1", started=1.0)
    full_run(tmp_path, "vae-digits-2", state="finished", step=5000, started=2.0)
    full_run(tmp_path, "barlow-twins-shapes-1", "barlow-twins", state="paused", started=3.0)
    return tmp_path


def test_a_line_says_how_a_run_does(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        head, _, *lines = text_of(home).splitlines()
        assert "1 running · 1 paused · 1 finished" in head
        by_name = {line[2:].split()[0]: line for line in lines if line}
        assert len(by_name) == 3
        running = by_name["vae-digits-1"]
        assert "● running" in running
        assert "62 %" in running
        assert "6.5 k img/s" in running
        assert "1 m 14 s left" in running
        assert "-ELBO 148.9 nats" in running
        assert "█" in running
        assert "✓ finished" in by_name["vae-digits-2"]
        assert "100 %" in by_name["vae-digits-2"]
        assert "kNN accuracy 0.8420" in by_name["barlow-twins-shapes-1"]
        assert "now" in by_name["vae-digits-2"]
        assert len({line.index("%") for line in by_name.values()}) == 1  # columns are aligned

    drive([home], script, (120, 20))


def test_the_value_is_never_cut_and_narrow_screens_show_signs(root: Path) -> None:
    (root / "vae-digits-1" / "config.toml").write_text('[run]\nmethod = "pixelcnn"\npreset = "digits"\n')
    put_status(RunDirectory(root / "vae-digits-1"), last={"test/nll_nats": 45.56})
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        line = next(line for line in text_of(home).splitlines() if "vae-digits-1" in line)
        assert "negative l… 45.56 nats" in line
        await pilot.resize_terminal(20, 6)
        await pilot.pause()
        signs = {
            line.split()[-1] for line in text_of(home).splitlines() if "digits" in line or "barlow" in line
        }
        assert signs == {"●", "✓", "○"}

    drive([home], script, (100, 20))


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (40, 10), (80, 24), (120, 40), (300, 100)])
def test_every_size_shows_the_names(root: Path, size: tuple[int, int]) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("down", "down", "down", "up", "pagedown", "pageup", "home", "end", "ctrl+l")
        assert home.list.current is not None
        if size[0] >= 80:
            assert "barlow-twins-shapes-1" in text_of(home)
            assert "vae-digits-1" in text_of(home)
        await pilot.resize_terminal(max(size[1], 2), max(size[0] // 4, 1))
        await pilot.press("up", "question_mark")
        assert isinstance(pilot.app.screen, KeyList)
        await pilot.press("escape", "q")

    drive([home], script, size)


def test_enter_opens_a_run_and_escape_comes_back(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("down")
        marked = home.list.current
        assert marked is not None
        await pilot.press("enter")
        screen = pilot.app.screen
        assert isinstance(screen, WatchScreen)
        assert screen.reader.run == marked.run
        await pilot.press("enter", "escape")  # enlarges, and puts back
        assert pilot.app.screen is screen
        await pilot.press("escape")
        assert pilot.app.screen is home
        assert home.list.current is marked
        await pilot.press("enter", "q")

    assert drive([home], script) is not None


def test_runs_come_go_and_change(tmp_path: Path) -> None:
    home = HomeScreen(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        assert "no runs in" in text_of(home)
        assert "n puts a first one together" in text_of(home)
        await pilot.press("enter", "down", "end")
        run = new_run(tmp_path, "vae-new-1")
        put_status(run, state="starting", step=0)
        await until(lambda: "◌ starting" in text_of(home))
        put_status(run, state="running", step=2500)
        await until(lambda: "● running" in text_of(home) and "50 %" in text_of(home))

    drive([home], script)


def test_only_the_runs_that_are_asked_for(root: Path) -> None:
    home = HomeScreen(root, [RunDirectory(root / "vae-digits-2"), RunDirectory(root / "vae-digits-1")])

    async def script(pilot: Pilot[Outcome]) -> None:
        assert "barlow" not in text_of(home)
        assert "vae-digits-2" in text_of(home)

    drive([home], script)


def test_a_long_list_scrolls_with_the_mark(tmp_path: Path) -> None:
    for number in range(30):
        put_status(new_run(tmp_path, f"vae-digits-{number}"), started=1.0 + number)
    home = HomeScreen(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        assert text_of(home).count("vae-digits-") == home.list.rows == 7
        await pilot.press("end")
        assert "▸ vae-digits-0 " in text_of(home)
        await pilot.press("home")
        assert "▸ vae-digits-29" in text_of(home)
        for _ in range(8):
            await pilot.press("down")
        assert "▸ vae-digits-21" in text_of(home)

    drive([home], script, (80, 10))


def test_the_cursor_stays_on_its_run_when_a_newer_one_comes(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        assert home.list.at == 0
        before = home.list.current
        assert before is not None
        put_status(new_run(root, "vae-new-1"), started=9e9)
        home.look_again()
        assert home.list.runs[0].name == "vae-new-1"
        assert home.list.current is not None
        assert home.list.current.name == before.name
        assert f"▸ {before.name}" in text_of(home)

    drive([home], script)
