"""What is asked of a trainer from its screen, and what is written from there."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from textual.pilot import Pilot

from sslterm.run.control import acknowledge, pending
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsReader
from sslterm.tui.picture import open_picture, opener
from sslterm.tui.screens.dialog import LineQuestion, Question
from sslterm.tui.screens.text import TextScreen
from sslterm.tui.screens.watch import Outcome, WatchScreen
from tests.tui.drive import drive, text_of, until
from tests.tui.recorded import full_run

TWO_RATES = "[optim.generator]\nlr = 2e-4\n[optim.discriminator]\nlr = 1e-4\n"


def test_samples_and_probes_are_asked_for_and_the_answer_has_its_time(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("s", "b")
        assert [request.do for request in pending(run)] == ["sample", "probe"]
        assert "probe: asked …" in text_of(screen)
        for request in pending(run):
            acknowledge(run, request, "done")
        await until(lambda: "probe: done at " in text_of(screen))
        moment = text_of(screen).partition("probe: done at ")[2][:8]
        assert (
            abs(
                time.mktime(time.strptime(time.strftime("%Y%m%d ") + moment, "%Y%m%d %H:%M:%S")) - time.time()
            )
            < 60
        )

    drive([screen], script)


def test_a_learning_rate_is_checked_and_confirmed_before_it_is_asked_for(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    with run.config.open("a") as file:
        file.write("[optim.main]\nlr = 1e-3\n")
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("l")
        prompt = pilot.app.screen
        assert isinstance(prompt, LineQuestion)
        assert "configured as 0.001" in prompt.sheet.title_text
        await pilot.press("ctrl+u", "minus", "1")
        assert prompt.sheet.shown is not None
        assert "▸  -1▏" in prompt.sheet.shown.plain()
        assert "a positive number is needed" in prompt.sheet.shown.plain()
        await pilot.press("enter")
        assert pilot.app.screen is prompt
        await pilot.press("ctrl+u", "3", "e", "minus", "4")
        assert "enter takes it" in prompt.sheet.shown.plain()
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, Question)
        await pilot.press("n")
        assert pending(run) == []
        await pilot.press("l")
        prompt = pilot.app.screen
        assert isinstance(prompt, LineQuestion)
        await pilot.press("ctrl+u", "3", "e", "minus", "4", "enter", "y")
        (request,) = pending(run)
        assert request.do == "set"
        assert request.arguments == {"key": "optim.main.lr", "value": 3e-4}
        assert "optim.main.lr = 0.0003: asked" in text_of(screen)
        await pilot.press("l", "escape")
        assert pilot.app.screen is screen

    drive([screen], script)


def test_of_several_rates_one_is_chosen_first(tmp_path: Path) -> None:
    run = full_run(tmp_path, "gan-1", "dcgan")
    with run.config.open("a") as file:
        file.write(TWO_RATES)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("l", "2")
        prompt = pilot.app.screen
        assert isinstance(prompt, LineQuestion)
        assert "discriminator" in prompt.sheet.title_text
        assert prompt.line.text == "0.0001"

    drive([screen], script)


def test_killing_asks_twice(trainer: tuple[RunDirectory, subprocess.Popen[str]]) -> None:
    run, process = trainer
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("S", "k", "n")
        assert process.poll() is None
        await pilot.press("S", "k", "y")
        assert "killed" in text_of(screen)
        assert process.wait(10) == -signal.SIGKILL
        await pilot.press("S", "k")

    drive([screen], script)


def test_the_screen_the_chart_and_the_data_are_written(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("tab", "tab")
        for key in "stpdst":
            await pilot.press("w", key)
            assert "wrote" in text_of(screen)

    drive([screen], script)
    written = sorted((run.path / "outputs").iterdir())
    kinds = [path.suffix for path in written]
    assert sorted(kinds) == [".csv", ".png", ".svg", ".svg", ".txt", ".txt"]
    svg = next(path for path in written if path.suffix == ".svg")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    text = next(path for path in written if path.suffix == ".txt").read_text()
    assert "vae-digits-1 · running" in text
    assert "▸ -ELBO" in text
    with Image.open(next(path for path in written if path.suffix == ".png")) as picture:
        assert picture.width > 600
    with next(path for path in written if path.suffix == ".csv").open() as file:
        rows = list(csv.DictReader(file))
    reader = MetricsReader(run.metrics)
    reader.refresh()
    assert len(rows) == sum(len(series) for series in reader.series.values())
    loss = [float(row["value"]) for row in rows if row["metric"] == "main/loss"]
    assert loss == reader.series["main/loss"].value.tolist()


def test_a_path_is_copied_and_a_picture_is_opened_where_there_is_a_desktop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)
    monkeypatch.setattr("sslterm.tui.picture.opener", lambda environment: "")

    async def script(pilot: Pilot[Outcome]) -> None:
        picture = str(run.panel("reconstructions", 768_000, ".png"))
        await pilot.press("c")
        assert pilot.app.clipboard == picture
        await pilot.press("o")
        assert f"no desktop to open it on; it is {picture}"[:60] in text_of(screen)

    drive([screen], script)
    monkeypatch.undo()
    assert opener({}) == "" or sys.platform == "darwin"
    monkeypatch.setattr("sslterm.tui.picture.opener", lambda environment: "/nowhere/open")
    assert open_picture("x.png").startswith("cannot open")


def shows(screen: TextScreen, text: str) -> bool:
    return screen.text.shown is not None and text in screen.text.shown.plain()


def test_configuration_and_events_can_be_read_whole(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        for key, expected in (("C", 'method = "vae"'), ("L", "warning at step 2,600: posterior collapse")):
            await pilot.press(key)
            text = pilot.app.screen
            assert isinstance(text, TextScreen)
            await until(partial(shows, text, expected))
            await pilot.press("down", "pagedown", "end", "home", "question_mark", "x", "q")
            assert pilot.app.screen is screen

    drive([screen], script)


def test_the_theme_changes_colours_and_is_remembered(tmp_path: Path, own_settings: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        assert screen.header.look.name == "dark"
        await pilot.press("t")
        assert screen.header.look.name == "light"

    drive([screen], script)
    assert '"theme": "light"' in own_settings.read_text()
    again = WatchScreen(screen.reader.run)

    async def look(pilot: Pilot[Outcome]) -> None:
        assert again.header.look.name == "light"

    drive([again], look)


def test_the_command_palette_finds_what_keys_do(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("ctrl+p")
        await pilot.pause(0.3)
        await pilot.press(*"checkpoint")
        await pilot.pause(0.8)
        await pilot.press("enter")
        await until(lambda: [request.do for request in pending(run)] == ["checkpoint"])

    drive([screen], script)
