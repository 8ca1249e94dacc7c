"""Every run of a folder: one line each, the newest first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.events import ScreenResume
from textual.screen import Screen

from sslterm.run.layout import RunDirectory, list_runs
from sslterm.run.reader import RunReader
from sslterm.tui.facts import LIVE
from sslterm.tui.keys import HOME_KEYS, bindings
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.screens.watch import WatchScreen
from sslterm.tui.widgets.keybar import KeyBar
from sslterm.tui.widgets.run_list import RunList

TICK_SECONDS = 0.5
LIST_SECONDS = 2.0


class HomeScreen(Screen[None]):
    """The list of runs. Those on the screen are followed; the others are looked at now and then."""

    BINDINGS = bindings(HOME_KEYS)
    CSS = """
    HomeScreen { background: ansi_default; }
    HomeScreen RunList { width: 1fr; height: 1fr; }
    HomeScreen KeyBar { width: 1fr; height: 1; }
    """

    def __init__(self, root: Path, runs: Sequence[RunDirectory] = ()) -> None:
        super().__init__()
        self.root = root
        self.chosen = list(runs)
        self.readers: dict[Path, RunReader] = {}
        self.runs = RunList(str(root))
        self.key_bar = KeyBar(HOME_KEYS)

    def compose(self) -> ComposeResult:
        yield self.runs
        yield self.key_bar

    def on_mount(self) -> None:
        self.list_runs()
        self.set_interval(TICK_SECONDS, self.tick)
        self.set_interval(LIST_SECONDS, self.list_runs)

    def on_screen_resume(self, event: ScreenResume) -> None:
        self.tick()

    def list_runs(self) -> None:
        """Look which runs there are, and how those off the screen do."""
        if not self.is_current and self.readers:
            return
        found = self.chosen or list_runs(self.root)
        self.readers = {run.path: self.readers.get(run.path) or RunReader(run) for run in found}
        for reader in self.readers.values():
            if reader.status is None or reader.state in LIVE:
                reader.refresh()
        self.runs.readers = list(self.readers.values())
        self.runs.now = time.time()
        self.runs.redraw()

    def tick(self) -> None:
        """Follow the runs that are on the screen."""
        if not self.is_current:
            return
        for reader in self.runs.on_screen():
            reader.refresh()
        self.runs.now = time.time()
        self.runs.redraw()

    def action_move(self, by: int) -> None:
        self.runs.move(by)

    def action_page(self, by: int) -> None:
        self.runs.move(by * max(self.runs.rows, 1))

    def action_open(self) -> None:
        reader = self.runs.marked
        if reader is not None:
            self.app.push_screen(WatchScreen(reader.run))

    def action_repaint(self) -> None:
        self.refresh(layout=True)

    def action_help(self) -> None:
        self.app.push_screen(KeyList("Keys", HOME_KEYS))

    def action_leave(self) -> None:
        self.app.exit("detached")
