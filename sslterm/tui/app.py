"""The application: its screens, its colours, and the way out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from sslterm.errors import UsageError
from sslterm.run.layout import RunDirectory
from sslterm.tui.screens.home import HomeScreen
from sslterm.tui.screens.watch import Outcome, WatchScreen


class MonitorApp(App[Outcome]):
    """Shows screens in the terminal's own colours.

    It runs without the mouse, so that paths and commands on the screen can be marked and copied.
    """

    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [  # noqa: RUF012 - as Textual declares it
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]
    CSS = "App { background: ansi_default; }"

    def __init__(self, screens: Sequence[Screen[None]]) -> None:
        super().__init__(ansi_color=True)
        self.first_screens = screens

    def on_mount(self) -> None:
        for screen in self.first_screens:
            self.push_screen(screen)

    def action_leave(self) -> None:
        """Leave by the screen's own way out."""
        leave = getattr(self.screen, "action_leave", self.exit)
        leave()


@contextmanager
def _own_environment() -> Iterator[None]:
    """Keep the environment: Textual takes NO_COLOR out of it, and whoever prints afterwards wants it.

    Meanwhile COLUMNS and LINES are out of it: Textual would take them for the size, and never see it change.
    """
    before = dict(os.environ)
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.update({name: before[name] for name in ("NO_COLOR", "COLUMNS", "LINES") if name in before})


def _require_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the live view needs a terminal", "sslterm runs list prints the same off a terminal")


def watch(run: RunDirectory, *, attached: bool) -> Outcome:
    """Show one run until the person leaves.

    Args:
        attached: this terminal started the trainer, so leaving asks: detach, stop and save, or keep watching.

    Returns:
        "detached": the training goes on. "stop": it was asked to save and stop, and has, unless the person
        did not wait. "ended": it had ended before the person left.

    Raises:
        UsageError: there is no terminal.
    """
    _require_terminal()
    with _own_environment():
        outcome = MonitorApp([WatchScreen(run, attached=attached)]).run(mouse=False)
    return outcome or "detached"


def monitor(root: Path, runs: Sequence[RunDirectory] = ()) -> None:
    """Show all runs below `root`, or only those given; a single one is opened at once.

    Raises:
        UsageError: there is no terminal.
    """
    _require_terminal()
    screens: list[Screen[None]] = [HomeScreen(root, runs)]
    if len(runs) == 1:
        screens.append(WatchScreen(runs[0]))
    with _own_environment():
        MonitorApp(screens).run(mouse=False)
