"""Every run of a folder: one line each, the newest first, and what can be done to them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.events import Key as KeyPress
from textual.events import Paste, ScreenResume
from textual.screen import Screen

from sslterm.errors import UsageError
from sslterm.run.index import ListedRun, RunIndex
from sslterm.run.layout import RunDirectory
from sslterm.run.query import Order, Query, check_keys, check_order, parse, parse_order, sort_key
from sslterm.tui.courses import Courses
from sslterm.tui.key import bindings
from sslterm.tui.keys import HOME_KEYS, QUERY_KEYS
from sslterm.tui.machine_load import MachineLoad, computes_here
from sslterm.tui.pace import Pace
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.screens.home_acts import HomeActs
from sslterm.tui.screens.watch import WatchScreen
from sslterm.tui.seen import is_seen
from sslterm.tui.widgets.keybar import KeyBar
from sslterm.tui.widgets.prompt import Prompt
from sslterm.tui.widgets.run_list import RunList

TICK_SECONDS = 0.5
LIST_SECONDS = 2.0
CATCH_UP_SECONDS = 0.06
"""Until the next look at logs that could not all be read at once."""

_MOVES = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10}
"""What moves the cursor in the list while a query is typed."""

_FILTER, _ORDER = "/ ", "sort by "


class HomeScreen(HomeActs, Screen[None]):
    """The list of runs. Those on the screen are followed; of the others only the status is looked at."""

    BINDINGS = bindings(HOME_KEYS)
    CSS = """
    HomeScreen { background: ansi_default; }
    HomeScreen RunList { width: 1fr; height: 1fr; }
    HomeScreen Prompt { width: 1fr; height: 1; display: none; }
    HomeScreen KeyBar { width: 1fr; height: 1; }
    HomeScreen .typing { display: none; }
    """

    def __init__(self, root: Path, runs: Sequence[RunDirectory] = ()) -> None:
        super().__init__()
        self.root = root
        self.index = RunIndex(root, runs)
        self.courses = Courses()
        self.list = RunList(self.courses)
        self.prompt = Prompt()
        self.key_bar, self.query_bar = KeyBar(HOME_KEYS), KeyBar(QUERY_KEYS)
        self.query_bar.add_class("typing")
        self.marks: set[Path] = set()
        self.where: Query = parse("")
        """The filter in force: the last that could be read."""
        self.order: Order | None = None
        self._load = MachineLoad()
        self._pace = Pace()
        self._listed = 0.0
        """When it was looked last which runs there are."""
        self._catching_up = False
        """Whether a look is due before the next tick."""

    def compose(self) -> ComposeResult:
        yield self.list
        yield self.prompt
        yield self.key_bar
        yield self.query_bar

    def on_mount(self) -> None:
        self.look_again()
        self.set_interval(TICK_SECONDS, self.follow)
        self.call_after_refresh(self.tick)  # once it is known which runs are on the screen

    def on_screen_resume(self, event: ScreenResume) -> None:
        self.look_again()

    # -- following

    def look_again(self) -> None:
        """Look which runs there are, and how they do."""
        if not is_seen(self) and self.index.runs:
            return
        self._listed = time.monotonic()
        self.index.refresh()
        self.list.loads = self._load.texts(working=any(map(computes_here, self.index.runs)))
        self.marks &= {listed.run.path for listed in self.index.runs}
        self.pick()
        self.tick()

    def follow(self) -> None:
        """Look at the runs on the screen at a pace that leaves the trainings alone; less often which there are."""
        if not is_seen(self) or not self._pace.due():
            return
        self._pace.begin()
        self.look_again() if time.monotonic() - self._listed >= LIST_SECONDS else self.tick()

    def tick(self) -> None:
        """Follow the runs that are on the screen."""
        if not is_seen(self):
            return
        for listed in self.list.on_screen():
            listed.refresh()
        if not self.courses.refresh(self.list.on_screen()):
            self._catch_up()
        self.follow_acts()
        self.list.now = time.time()
        self.list.redraw()

    def _catch_up(self) -> None:
        """Look again soon, where the logs are too long to be read at once."""

        def again() -> None:
            self._catching_up = False
            self.tick()

        if not self._catching_up:
            self._catching_up = True
            self.set_timer(CATCH_UP_SECONDS, again)

    def pick(self, *, stay: bool = True) -> None:
        """List the runs that the filter picks, in the order asked for.

        Args:
            stay: the cursor stays on its run, wherever that stands now; otherwise it goes to the first.
        """
        before, now = self.list.current, time.time()
        everything = self.index.runs
        found: Sequence[ListedRun] = everything
        if self.where.text.strip() or self.order is not None:
            facts = {listed.run.path: listed.facts(now) for listed in everything}
            found = [listed for listed in everything if self.where.matches(facts[listed.run.path])]
            if self.order is not None:
                rank = sort_key(self.order)
                found = sorted(found, key=lambda listed: rank(facts[listed.run.path]))
        self.list.everything, self.list.runs, self.list.marks = everything, found, self.marks
        self.list.empty = (
            ("no run is picked by this filter", "escape clears it")
            if everything
            else (
                f"no runs in {self.root} yet",
                "n puts a first one together",
                "or: sslterm train vae --preset digits",
            )
        )
        if not stay:
            self.list.at = 0
        elif before is not None:
            self.list.go_to(before.run)
        self._tell_prompt()

    # -- what is typed

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a query is typed, letters are letters."""
        return not self.prompt.typing or action in ("keep", "clear")

    def action_filter(self) -> None:
        self._open_prompt(_FILTER, self.where.text)

    def action_order(self) -> None:
        self._open_prompt(_ORDER, self.order.text if self.order else "")

    def on_key(self, event: KeyPress) -> None:
        if not self.prompt.typing:
            return
        event.stop()
        if event.key == "enter":
            self.action_keep()
        elif event.key == "escape":
            self.action_clear()
        elif event.key in _MOVES:
            self.action_move(_MOVES[event.key])
        else:
            line = self.prompt.line.pressed(event.key)
            if line is None and event.character is not None and event.character.isprintable():
                line = self.prompt.line.typed(event.character)
            if line is not None:
                self._take(line.text)
                self.prompt.line = line
                self.prompt.redraw()

    def on_paste(self, event: Paste) -> None:
        if self.prompt.typing:
            self.prompt.line = self.prompt.line.typed(event.text)
            self._take(self.prompt.line.text)

    def _take(self, text: str) -> None:
        """Put what is typed in force, or say what is wrong with it; the last good one stays then."""
        try:
            facts = [listed.facts(time.time()) for listed in self.index.runs]
            if self.prompt.lead == _FILTER:
                where = parse(text)
                check_keys(where, facts)
                self.where = where
            else:
                order = parse_order(text) if text.strip() else None
                if order is not None:
                    check_order(order, facts)
                self.order = order
        except UsageError as error:
            self.query_bar.say(f"{error.message}; {error.hint}" if error.hint else error.message)
            return
        self.query_bar.say("")
        self.pick(stay=False)
        self.tick()

    def action_keep(self) -> None:
        """Stop typing; what is in force stays."""
        self.prompt.typing = False
        self._show_bar()
        self.pick()

    def _open_prompt(self, lead: str, text: str) -> None:
        self.prompt.display = True
        self.prompt.open(lead, text)
        self._show_bar()
        self.pick()

    def _show_bar(self) -> None:
        """The keys of the list, or those of the query that is being typed."""
        self.query_bar.notice = ""
        self.query_bar.display = self.prompt.typing
        self.key_bar.display = not self.prompt.typing
        for bar in (self.query_bar, self.key_bar):
            self.call_after_refresh(bar.redraw)

    def action_clear(self) -> None:
        """Take back the filter, or the order, that is being typed."""
        if self.prompt.lead == _FILTER:
            self.where = parse("")
        else:
            self.order = None
        self.action_keep()

    def _tell_prompt(self) -> None:
        """Show the filter and the order in force, and how many runs there are of all."""
        order = f"sorted by {self.order.text}" if self.order is not None else ""
        if not self.prompt.typing:
            self.prompt.display = bool(self.where.text.strip() or order)
            self.prompt.lead = _FILTER if self.where.text.strip() else ""
            self.prompt.line = self.prompt.line.of(self.where.text)
        count = f"{len(self.list.runs):,} of {len(self.index.runs):,} shown"
        self.prompt.tell(" · ".join(text for text in (order, count) if text))

    # -- going about

    def action_move(self, by: int) -> None:
        self.list.move(by)
        self.tick()

    def action_page(self, by: int) -> None:
        self.action_move(by * max(self.list.rows, 1))

    def action_open(self) -> None:
        if self.list.current is not None:
            self.app.push_screen(WatchScreen(self.list.current.run))

    def on_run_list_opened(self, event: RunList.Opened) -> None:
        self.action_open()

    def action_mark(self) -> None:
        if self.list.current is not None:
            self.marks ^= {self.list.current.run.path}
            self.list.marks = self.marks
            self.action_move(1)

    def action_back(self) -> None:
        if self.marks:
            self.marks.clear()
        elif self.where.text.strip():
            self.where = parse("")
        else:
            self.order = None
        self.pick()
        self.list.redraw()

    async def action_theme(self) -> None:
        await self.run_action("app.next_theme")

    def action_repaint(self) -> None:
        self.refresh(layout=True)

    def action_help(self) -> None:
        self.app.push_screen(KeyList("Keys", HOME_KEYS))

    def action_leave(self) -> None:
        self.app.exit("detached")
