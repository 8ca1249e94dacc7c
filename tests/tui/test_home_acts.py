"""What the list of runs lets a person do to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot

from sslterm.errors import UsageError
from sslterm.run.launch import kill_trainer
from sslterm.run.layout import RunDirectory, list_runs
from sslterm.run.lock import hold
from sslterm.tui.screens.compare import CompareScreen
from sslterm.tui.screens.dialog import Question
from sslterm.tui.screens.home import HomeScreen
from sslterm.tui.screens.watch import Outcome, WatchScreen
from tests.tui.drive import drive, until
from tests.tui.recorded import new_run, put_metrics, put_status

GONE = 2**22 + 1
"""A pid that no process has."""


def text_of(home: HomeScreen) -> str:
    parts = (home.list, home.prompt, home.query_bar, home.key_bar)
    return "\n".join(part.shown.plain() for part in parts if part.shown is not None and part.display)


def names(home: HomeScreen) -> list[str]:
    return [listed.name for listed in home.list.runs]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, state in enumerate(("finished", "stopped", "running", "paused"), 1):
        run = new_run(tmp_path, f"vae-digits-{number}")
        last = {"main/loss": 1.0, "test/knn": 0.1 * number}
        put_status(run, state=state, started=float(number), step=100 * number, last=last)
    new_run(tmp_path, "dcgan-digits-1", "dcgan")
    put_status(
        RunDirectory(tmp_path / "dcgan-digits-1"),
        state="diverged",
        last={},
        message="loss is NaN",
        started=0.5,
    )
    return tmp_path


async def write(pilot: Pilot[Outcome], text: str) -> None:
    special = {
        " ": "space",
        "=": "equals_sign",
        ">": "greater_than_sign",
        "/": "slash",
        "-": "minus",
        ".": "full_stop",
    }
    await pilot.press(*(special.get(character, character) for character in text))


def test_a_filter_picks_while_it_is_typed(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("slash")
        await write(pilot, "method = vae")
        assert len(names(home)) == 4
        assert "4 of 5 shown" in text_of(home)
        await pilot.press("left_parenthesis")
        assert "found the end" in text_of(home)
        assert len(names(home)) == 4  # the last good one stays in force
        await pilot.press("backspace")
        await write(pilot, " and step > 250 q")  # letters are letters
        await pilot.press("backspace", "backspace", "enter")
        assert names(home) == ["vae-digits-4", "vae-digits-3"]
        assert "2 of 5 shown" in text_of(home)
        await pilot.press("slash")
        await pilot.press("escape")
        assert len(names(home)) == 5
        assert "shown" not in text_of(home)

    drive([home], script)


def test_a_key_that_no_run_has_is_said(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("slash")
        await write(pilot, "test/kn > 0")
        assert "no run has a key 'test/kn'; did you mean 'test/knn'?" in text_of(home)
        await pilot.press("ctrl+u")
        assert len(names(home)) == 5

    drive([home], script)


def test_an_order_puts_the_greatest_first(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("o")
        await write(pilot, "-test/knn")
        await pilot.press("enter")
        assert names(home)[:4] == [f"vae-digits-{n}" for n in (4, 3, 2, 1)]
        await pilot.press("o", "ctrl+u")
        await write(pilot, "test/knn")
        await pilot.press("enter")
        assert names(home)[:4] == [f"vae-digits-{n}" for n in (1, 2, 3, 4)]
        assert "sorted by test/knn" in text_of(home)
        await pilot.press("escape")
        assert names(home)[0] == "vae-digits-4"

    drive([home], script)


def test_a_run_that_diverged_says_why_and_what_to_do(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        line = next(line for line in text_of(home).splitlines() if "dcgan" in line)
        assert "✗ diverged  loss is NaN · resume with r" in line
        line = next(line for line in text_of(home).splitlines() if "vae-digits-2" in line)
        assert "resume with r" in line

    drive([home], script)


def test_marked_runs_are_removed_together_after_a_question(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("end", "space", "up", "space")  # the cursor stays at the end
        assert [path.name for path in sorted(home.marks)] == ["dcgan-digits-1", "vae-digits-1"]
        assert "2 marked" in text_of(home)
        await pilot.press("d")
        question = pilot.app.screen
        assert isinstance(question, Question)
        assert question.sheet.title_text == "Remove 2 runs (vae-digits-1, dcgan-digits-1)?"
        await pilot.press("escape")
        assert len(list_runs(root)) == 5
        await pilot.press("d", "d")
        assert {run.name for run in list_runs(root)} == {f"vae-digits-{n}" for n in (2, 3, 4)}
        assert "2 runs removed" in text_of(home)
        assert not home.marks

    drive([home], script)


def test_a_run_that_trains_is_not_removed(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("d")
        assert pilot.app.screen is home
        assert "vae-digits-4 is paused" in text_of(home)
        assert "stop it first" in text_of(home)

    drive([home], script)


def requests_of(run: RunDirectory) -> list[str]:
    return [json.loads(path.read_text())["do"] for path in sorted(run.control.glob("*.json"))]


def test_pausing_and_stopping_ask_the_trainer(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("p", "down", "p", "s")
        assert isinstance(pilot.app.screen, Question)
        await pilot.press("s")
        assert requests_of(RunDirectory(root / "vae-digits-4")) == ["continue"]
        assert requests_of(RunDirectory(root / "vae-digits-3")) == ["pause", "stop"]
        await pilot.press("end", "p")
        assert "no trainer is at work on dcgan-digits-1: it is diverged" in text_of(home)

    drive([home], script)


def test_resuming_starts_a_trainer_where_that_makes_sense(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def start(run: RunDirectory, *, device: str, processes: int) -> subprocess.Popen[bytes]:
        started.append(run.name)
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])

    monkeypatch.setattr("sslterm.tui.resume.start_trainer", start)
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("r")
        assert "vae-digits-4 is paused already" in text_of(home)
        await pilot.press("down", "down", "down", "r")
        assert "vae-digits-1 is finished: there is nothing left to train" in text_of(home)
        await pilot.press("up", "r")
        assert started == ["vae-digits-2"]
        await until(lambda: "vae-digits-2: the trainer of vae-digits-2 ended with code 3" in text_of(home))
        assert not home.trainers

    drive([home], script)


def test_marked_runs_are_compared_with_the_one_under_the_cursor(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("c")
        assert "mark runs with space" in text_of(home)
        await pilot.press("space", "down", "c")
        compared = pilot.app.screen
        assert isinstance(compared, CompareScreen)
        names = [reader.run.name for reader in compared.comparison.readers]
        assert names == ["vae-digits-4", "vae-digits-2"]

    drive([home], script)


def test_the_theme_changes_and_letters_of_a_filter_are_letters(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("t")
        assert home.list.look.name == "light"
        await pilot.press("slash", "t")
        assert home.list.look.name == "light"
        assert home.prompt.line.text == "t"

    drive([home], script)


def test_a_click_on_a_key_of_the_query_keeps_or_clears_it(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("slash")
        await write(pilot, "method = dcgan")
        await pilot.click(home.query_bar, offset=(2, 0))
        assert not home.prompt.typing
        assert names(home) == ["dcgan-digits-1"]
        await pilot.press("slash")
        shown = home.query_bar.shown
        assert shown is not None
        await pilot.click(home.query_bar, offset=(shown.plain().index("esc"), 0))
        assert len(names(home)) == 5

    drive([home], script)


def test_clicks_put_the_cursor_and_open(root: Path) -> None:
    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.click(home.list, offset=(5, 4))
        assert home.list.current is not None
        assert home.list.current.name == "vae-digits-2"
        await pilot.click(home.list, offset=(5, 4), times=2)
        await until(lambda: isinstance(pilot.app.screen, WatchScreen))

    drive([home], script)


def test_logs_are_read_only_of_runs_on_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        run = new_run(tmp_path, f"vae-digits-{number}")
        put_metrics(run, 40)
        put_status(run, state="finished", started=1.0 + number)
    home = HomeScreen(tmp_path)
    read: set[str] = set()
    refresh = home.courses.refresh

    def spy(runs: list[object]) -> bool:
        read.update(listed.name for listed in runs)  # type: ignore[attr-defined]
        return refresh(runs)  # type: ignore[arg-type]

    monkeypatch.setattr(home.courses, "refresh", spy)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.pause(0.2)
        assert read == {f"vae-digits-{number}" for number in range(40 - home.list.rows, 40)}
        assert "▁" in text_of(home)

    drive([home], script, (120, 12))


def test_a_folder_that_is_deleted_under_it_leaves_an_empty_list(root: Path) -> None:
    import shutil

    home = HomeScreen(root)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("space")
        shutil.rmtree(root)
        home.look_again()
        assert names(home) == []
        assert "no runs in" in text_of(home)
        await pilot.press("r", "s", "d", "c", "p", "enter", "space")

    drive([home], script)


# -- killing


def test_the_trainer_of_a_run_is_killed(trainer: tuple[RunDirectory, subprocess.Popen[str]]) -> None:
    run, process = trainer
    kill_trainer(run)
    assert process.wait(10) == -signal.SIGKILL
    with pytest.raises(UsageError, match="nothing to kill"):
        kill_trainer(run)


def test_only_the_trainer_is_killed(trainer: tuple[RunDirectory, subprocess.Popen[str]]) -> None:
    run, process = trainer
    for about, message in (
        ({"pid": os.getpid()}, "gone"),  # alive, and not who holds the run
        ({"pid": process.pid, "host": "elsewhere"}, "trained on elsewhere"),
        ({"pid": process.pid, "state": "finished"}, "no trainer is at work"),
        ({"pid": GONE}, "gone"),
    ):
        put_status(run, **about)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=message):
            kill_trainer(run)
    assert process.poll() is None


def test_killing_is_confirmed(trainer: tuple[RunDirectory, subprocess.Popen[str]]) -> None:
    run, process = trainer
    home = HomeScreen(run.path.parent)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("s", "k", "w")
        assert process.poll() is None
        await pilot.press("s", "k")
        question = pilot.app.screen
        assert isinstance(question, Question)
        assert question.sheet.title_text == "Kill vae-digits-1? Nothing is saved."
        await pilot.press("k")
        assert process.wait(10) == -signal.SIGKILL

    drive([home], script)


def test_a_lock_that_nobody_holds_has_no_holder(tmp_path: Path) -> None:
    from sslterm.run.lock import holder

    run = new_run(tmp_path)
    assert holder(run) is None
    with hold(run):
        assert holder(run) == os.getpid()
    assert holder(run) is None
