"""The live view of one run: what it asks of the trainer, and the ways out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from sslterm.errors import DataError
from sslterm.run.control import acknowledge, pending
from sslterm.run.events import append_event
from sslterm.tui.screens.dialog import Question
from sslterm.tui.screens.watch import Outcome, WatchScreen
from tests.tui.drive import drive, text_of, until
from tests.tui.recorded import (
    full_run,
    put_status,
)


def test_pause_is_asked_for_and_acknowledged(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("p")
        assert [request.do for request in pending(run)] == ["pause"]
        assert "pause: asked" in text_of(screen)
        acknowledge(run, pending(run)[0], "done")
        append_event(run.events, "paused", step=3120)
        put_status(run, state="paused")
        await until(lambda: "○ vae-digits-1 · paused" in text_of(screen) and "pause: done" in text_of(screen))
        await pilot.press("p")
        assert [request.do for request in pending(run)] == ["continue"]
        await pilot.press("k")
        assert [request.do for request in pending(run)] == ["continue", "checkpoint"]

    drive([screen], script)


def test_a_refusal_is_shown(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("k")
        acknowledge(run, pending(run)[0], "refused: the disk is full")
        await until(lambda: "checkpoint: refused: the disk is full" in text_of(screen))

    drive([screen], script)


def test_stop_asks_first(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        for refusal in ("escape", "w"):
            await pilot.press("S")
            assert isinstance(pilot.app.screen, Question)
            await pilot.press(refusal)
            assert pilot.app.screen is screen
            assert pending(run) == []
        await pilot.press("S", "s")
        assert [request.do for request in pending(run)] == ["stop"]

    drive([screen], script)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_leaving_an_attached_view_asks_and_detaches(tmp_path: Path, key: str) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run, attached=True)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press(key)
        assert isinstance(pilot.app.screen, Question)
        await pilot.press("w")
        assert pilot.app.screen is screen
        await pilot.press(key, "d")

    assert drive([screen], script) == "detached"
    assert pending(run) == []


def test_ctrl_c_on_a_question_takes_it_back(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path), attached=True)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("ctrl+c", "ctrl+c")
        assert pilot.app.screen is screen

    drive([screen], script)


def test_stop_and_save_waits_until_it_is_saved(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run, attached=True)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("q", "s")
        assert [request.do for request in pending(run)] == ["stop"]
        assert "saving and stopping" in text_of(screen)
        assert pilot.app.is_running
        acknowledge(run, pending(run)[0], "done")
        put_status(run, state="stopped")
        await until(lambda: not pilot.app.is_running or pilot.app.return_value is not None)

    assert drive([screen], script) == "stop"


def test_a_second_q_leaves_without_waiting(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path), attached=True)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("q", "s", "q")

    assert drive([screen], script) == "stop"


def test_the_result_stays_when_a_run_finishes_and_q_then_leaves_at_once(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run, attached=True)

    async def script(pilot: Pilot[Outcome]) -> None:
        append_event(run.events, "finished", step=5000)
        put_status(run, state="finished", step=5000, elapsed_seconds=94.0)
        await until(lambda: "✓ vae-digits-1 · finished" in text_of(screen))
        text = text_of(screen)
        assert "done in 1 m 34 s: -ELBO 148.9 nats (test)" in text
        assert "next: sslterm sample vae-digits-1 (or traverse, reconstruct, probe)" in text
        assert "-ELBO · nats" in text  # the curves are still there
        await pilot.press("p")
        assert "no trainer is at work on this run (finished)" in text_of(screen)
        assert pending(run) == []
        await pilot.press("q")

    assert drive([screen], script) == "ended"


def test_a_run_that_ends_while_the_question_stands_has_ended(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run, attached=True)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("q")
        put_status(run, state="finished", step=5000)
        await until(lambda: not screen.live)
        await pilot.press("d")

    assert drive([screen], script) == "ended"


def test_a_run_directory_that_cannot_be_written_is_said_and_nothing_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: object, do: str, **arguments: object) -> str:
        raise DataError(f"cannot ask to {do}: read-only file system")

    monkeypatch.setattr("sslterm.tui.requests.request", refuse)
    screen = WatchScreen(full_run(tmp_path), attached=True)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("p")
        assert "cannot ask to pause: read-only" in text_of(screen)
        await pilot.press("q", "s")
        assert "cannot ask to stop: read-only" in text_of(screen)
        assert not screen.stopping

    drive([screen], script)
