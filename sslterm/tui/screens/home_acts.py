"""What keys do to the runs of the list: start, resume, pause, stop, kill, remove, compare."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sslterm.errors import SsltermError
from sslterm.run.events import EventsReader
from sslterm.run.files import replace_file
from sslterm.run.index import ListedRun, csv_of_runs
from sslterm.run.launch import kill_trainer, what_happened
from sslterm.run.layout import RunDirectory
from sslterm.run.removal import refuse_live, remove_run
from sslterm.tui.export import OF_RUNS, ask_to_write, new_file, write_screen
from sslterm.tui.facts import LIVE
from sslterm.tui.requests import Requests
from sslterm.tui.resume import resume
from sslterm.tui.screens.compare import CompareScreen
from sslterm.tui.screens.dialog import Option, Question
from sslterm.tui.screens.new_run import NewRunScreen
from sslterm.tui.screens.watch import WatchScreen

if TYPE_CHECKING:
    from textual.screen import Screen

    from sslterm.tui.widgets.keybar import KeyBar
    from sslterm.tui.widgets.run_list import RunList

    _Base = Screen[None]
else:
    _Base = object

NOTICE_SECONDS = 5.0


class HomeActs(_Base):
    """The acting half of the home screen. An act is on all marked runs, or on the one under the cursor."""

    list: RunList
    key_bar: KeyBar
    marks: set[Path]
    root: Path
    look_again: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.trainers: dict[Path, tuple[RunDirectory, subprocess.Popen[bytes]]] = {}
        """Trainers that were started from here, so that what becomes of them is said."""
        self._asked: dict[Path, tuple[Requests, EventsReader]] = {}

    # -- on what

    def targets(self) -> Sequence[ListedRun]:
        """The marked runs, in order; the one under the cursor where none is marked."""
        marked = [listed for listed in self.list.everything if listed.run.path in self.marks]
        current = self.list.current
        return marked or ([current] if current is not None else [])

    def _called(self, runs: Sequence[ListedRun]) -> str:
        """The runs by name, as marked ones may be out of sight: "a", "3 runs (a, b, c)", "9 runs (a, b, c, …)"."""
        names = ", ".join([*(listed.name for listed in runs[:3]), *(["…"] if len(runs) > 3 else [])])
        return names if len(runs) == 1 else f"{len(runs)} runs ({names})"

    def say(self, text: str) -> None:
        """Say something in place of the keys, for a few seconds."""
        self.key_bar.say(text)
        self.set_timer(NOTICE_SECONDS, lambda: self.key_bar.say("") if self.key_bar.notice == text else None)

    def _do_to_each(
        self, runs: Sequence[ListedRun], act: Callable[[RunDirectory], object], done: str
    ) -> None:
        """Act on runs one after the other; say how many were `done`, and what went wrong."""
        errors = []
        for listed in runs:
            try:
                act(listed.run)
            except SsltermError as error:
                errors.append(error.message)
        count = len(runs) - len(errors)
        what = (
            runs[0].name if len(runs) == 1 else f"{count} of {len(runs)} runs" if errors else f"{count} runs"
        )
        told = [f"{what} {done}"] if count else []
        self.look_again()
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        self.say(" · ".join([*told, *(error + more for error in errors[:1])]))

    # -- starting

    def action_new(self) -> None:
        screen = NewRunScreen(self.root)

        def opened(run: RunDirectory | None) -> None:
            if run is None:
                return
            if screen.trainer is not None:
                self.trainers[run.path] = (run, screen.trainer)
            self.look_again()
            self.list.go_to(run)
            self.app.push_screen(WatchScreen(run))

        self.app.push_screen(screen, opened)

    def action_resume(self) -> None:
        def start(run: RunDirectory) -> None:
            self.trainers[run.path] = (run, resume(run))

        self._do_to_each(self.targets(), start, "resumed: the trainer starts …")

    # -- while they train

    def action_pause(self) -> None:
        def act(run: RunDirectory) -> None:
            states = {listed.run.path: listed.state for listed in self.list.everything}
            self._ask(run, "continue" if states.get(run.path) == "paused" else "pause")

        self._do_to_each(self.targets(), act, "asked …")

    def _ask(self, run: RunDirectory, do: str) -> None:
        listed = ListedRun(run)
        listed.refresh()
        if listed.state not in LIVE:
            raise SsltermError(f"no trainer is at work on {run.name}: it is {listed.state}")
        if run.path not in self._asked:
            events = EventsReader(run.events)
            events.refresh()
            self._asked[run.path] = (Requests(run), events)
        self._asked[run.path][0].ask(do)

    def follow_acts(self) -> None:
        """Say what trainers answered, and which of those started here have died."""
        for requests, events in self._asked.values():
            if requests.waiting:
                events.refresh()
                for answer in requests.answers(events.events):
                    self.say(f"{requests.run.name}: {answer}")
        for path, (run, trainer) in list(self.trainers.items()):
            if trainer.poll() is not None:
                del self.trainers[path]
                error = what_happened(run, trainer)
                if error is not None:
                    self.say(f"{run.name}: {error.message}")

    def action_stop(self) -> None:
        runs = [listed for listed in self.targets() if listed.state in LIVE]
        if not runs:
            self.say("no trainer is at work there" if self.targets() else "there is no run to stop")
            return
        options = (
            Option("s", "stop", "save and stop; r goes on from there"),
            Option("k", "kill", "kill: end it now; what came after its last checkpoint is lost"),
            Option("w", "", "keep training"),
        )

        def answered(answer: str | None) -> None:
            if answer == "stop":
                self._do_to_each(runs, lambda run: self._ask(run, "stop"), "asked to save and stop …")
            elif answer == "kill":
                self._confirm_kill(runs)

        self.app.push_screen(Question(f"Stop {self._called(runs)}?", options), answered)

    def _confirm_kill(self, runs: Sequence[ListedRun]) -> None:
        options = (Option("k", "kill", "kill without saving"), Option("w", "", "keep training"))

        def answered(answer: str | None) -> None:
            if answer == "kill":
                self._do_to_each(runs, kill_trainer, "killed")

        self.app.push_screen(Question(f"Kill {self._called(runs)}? Nothing is saved.", options), answered)

    # -- afterwards

    def action_remove(self) -> None:
        runs = self.targets()
        if not runs:
            return
        try:
            for listed in runs:
                refuse_live(listed.run)
        except SsltermError as error:
            self.say(f"{error.message}: stop it first, with s")
            return
        options = (Option("d", "remove", "remove for good, with all it holds"), Option("w", "", "keep"))

        def answered(answer: str | None) -> None:
            if answer == "remove":
                self._do_to_each(runs, remove_run, "removed")

        self.app.push_screen(Question(f"Remove {self._called(runs)}?", options), answered)

    def action_compare(self) -> None:
        runs = list(self.targets())
        current = self.list.current
        if current is not None and current not in runs:
            runs.append(current)
        if len(runs) < 2:
            self.say("mark runs with space, then compare them")
            return
        self.app.push_screen(CompareScreen([listed.run for listed in runs]))

    # -- writing

    def action_write(self) -> None:
        """Write the screen or the listed runs beside the runs."""

        def write(what: str) -> Path:
            if what != "csv":
                return write_screen(what, self, self.root, "runs")
            path = new_file(self.root, "runs", ".csv")
            replace_file(path, csv_of_runs(self.list.runs, time.time()).encode())
            return path

        ask_to_write(self, OF_RUNS, write, self.say)
