"""How often is drawn what trainings add, and that what is covered does nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from textual.pilot import Pilot

from sslterm.tui.pace import Pace
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.screens.home import HomeScreen
from sslterm.tui.screens.watch import Outcome, WatchScreen
from sslterm.tui.seen import is_seen
from tests.tui.drive import drive, until
from tests.tui.recorded import full_run, put_status


def test_drawing_takes_a_hundredth_of_a_core_at_most_but_waits_no_longer_than_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace, clock, used = Pace(), [100.0], [7.0]
    monkeypatch.setattr("sslterm.tui.pace.SHARE_OF_A_CORE", 0.01)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "process_time", lambda: used[0])
    assert pace.due()  # nothing has been drawn
    pace.begin()
    used[0] += 0.002
    waits = {0.9: False, 1.0: True, 4.9: True}  # a cheap drawing: once a second
    for wait, due in waits.items():
        clock[0] = 100.0 + wait
        assert pace.due() is due
    used[0] += 0.028  # 30 ms of the processor since: three seconds between drawings
    for wait, due in {1.0: False, 2.9: False, 3.1: True}.items():
        clock[0] = 100.0 + wait
        assert pace.due() is due
    used[0] += 1.0
    for wait, due in {4.9: False, 5.0: True}.items():
        clock[0] = 100.0 + wait
        assert pace.due() is due


def test_a_covered_screen_rests_and_catches_up_when_it_is_seen_again(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    home, watch = HomeScreen(tmp_path), WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        assert is_seen(watch)
        assert not is_seen(home)
        drawn = home.list.shown
        put_status(run, step=4000)
        home.follow()
        assert home.list.shown is drawn
        pilot.app.push_screen(KeyList("Keys", ()))
        await pilot.pause()
        assert is_seen(watch)  # around the dialog
        await pilot.press("escape", "escape")
        assert is_seen(home)
        await until(lambda: home.list.shown is not None and "80 %" in home.list.shown.plain())

    drive([home, watch], script)
