"""One run, live: its curves and panels as tiles, its events, and the keys that control it."""

from __future__ import annotations

from typing import Literal

from textual.app import ComposeResult
from textual.events import Resize, ScreenResume

from sslterm.render.palette import WARNING
from sslterm.run.layout import RunDirectory
from sslterm.run.reader import RunReader
from sslterm.tui.arrangement import Arrangement
from sslterm.tui.facts import LIVE, event_log, result_lines
from sslterm.tui.key import bindings
from sslterm.tui.keys import WATCH_KEYS
from sslterm.tui.load import Load
from sslterm.tui.pace import Pace
from sslterm.tui.screens.dialog import KeyList, Option, Question
from sslterm.tui.screens.embedding import EmbeddingScreen
from sslterm.tui.screens.explorer import ExplorerScreen
from sslterm.tui.screens.latent import LatentScreen
from sslterm.tui.screens.text import TextScreen
from sslterm.tui.screens.tiles import TileScreen
from sslterm.tui.screens.watch_layout import share_rows
from sslterm.tui.seen import is_seen
from sslterm.tui.steering import Steering
from sslterm.tui.widgets.header import Header
from sslterm.tui.widgets.keybar import KeyBar
from sslterm.tui.widgets.log import EventLog

Outcome = Literal["detached", "stop", "ended"]
"""How a person left: the training goes on; it was asked to stop and save; it had ended by itself."""

TICK_SECONDS = 0.5
LOAD_SECONDS = 2.0


class WatchScreen(TileScreen):
    """Follows one run directory; acts on it only by control requests.

    Args:
        attached: this view started the trainer, so leaving it asks what becomes of the training.
    """

    BINDINGS = bindings(WATCH_KEYS)
    CSS = """
    WatchScreen { background: ansi_default; }
    WatchScreen Header { width: 1fr; height: 2; }
    WatchScreen Board { width: 1fr; height: 1fr; }
    WatchScreen EventLog { width: 1fr; height: 3; }
    WatchScreen KeyBar { width: 1fr; height: 1; }
    """

    def __init__(self, run: RunDirectory, *, attached: bool = False) -> None:
        super().__init__(RunReader(run), KeyBar(WATCH_KEYS))
        self.attached = attached
        self.header, self.log_view = Header(), EventLog()
        self.steering = Steering(self.reader, self)
        self._news = False
        """Something was read that is not drawn yet."""
        self._pace = Pace()
        self._gone = False
        """The run directory has been removed."""
        self.stopping = False
        """The person left with "stop and save"; the view closes when that is done."""
        self._load = Load()
        self._load_parts: list[tuple[int, str]] = []

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.board
        yield self.log_view
        yield self.key_bar

    def on_mount(self) -> None:
        self.set_interval(TICK_SECONDS, self.tick)
        self.set_interval(LOAD_SECONDS, self.sample_load)
        self.reader.refresh()
        settings = getattr(self.app, "settings", None)
        if settings is not None and self.entry is not None:
            self.board.arrangement = settings.arrangements.get(self.entry.name, Arrangement())
        self.sample_load()
        self.update()

    def on_screen_resume(self, event: ScreenResume) -> None:
        self.reader.refresh()
        self.update()

    def on_resize(self, event: Resize) -> None:
        self.share_out(event.size.height)

    @property
    def state(self) -> str:
        return self.reader.state

    @property
    def live(self) -> bool:
        return self.state in LIVE

    # -- what is shown

    def tick(self) -> None:
        """Look for news; draw what they change."""
        if not is_seen(self):
            return
        events = len(self.reader.events)
        self._news |= self.reader.refresh()
        self._gone, was_gone = not self.reader.run.path.exists(), self._gone
        told = len(self.reader.events) != events or self._gone != was_gone
        told |= self.state != self.header.state  # who died tells nothing
        if told or (self._news and self._pace.due()):
            self.update()
        if self.stopping and not self.live:
            self.app.exit("stop")

    def sample_load(self) -> None:
        if not is_seen(self):
            return
        working = self.state in ("starting", "running")
        before, self._load_parts = self._load_parts, self._load.parts(self.reader.status, working=working)
        self._news |= self._load_parts != before

    def _tell(self) -> None:
        """Say in header and log how the run does."""
        reader = self.reader
        self.header.tell(reader.run.name, self.state, reader.status, self._load_parts)
        result = result_lines(reader.run.name, self.entry, reader.status, self.state, reader.events)
        if self._gone:
            result = [(f"the run is gone, and shown is what was read of it: {reader.run.path}", WARNING)]
        self.log_view.tell(reader.events, result, headline=self.entry.headline if self.entry else "")
        self.share_out()

    def update(self) -> None:
        """Take in all that is new, and draw what it changes."""
        self._news = False
        self._pace.begin()
        for answer in self.steering.answers():
            if not self.stopping:
                self.say(answer)
        self._tell()
        self.board.update(asked=False)

    def share_out(self, height: int | None = None) -> None:
        """Give header, log and keys their rows on a screen of `height`: the present one, where none is given."""
        shape = share_rows(
            self.size.height if height is None else height,
            result=len(self.log_view.result),
            enlarged=self.board.enlarged,
        )
        self.header.styles.height = shape.header
        self.log_view.styles.height, self.log_view.display = shape.log, shape.log > 0
        self.key_bar.display = shape.keys > 0

    # -- other screens

    def action_config(self) -> None:
        run = self.reader.run
        self.app.push_screen(TextScreen(f"{run.name} · {run.config}", run.config))

    def action_events(self) -> None:
        headline = self.entry.headline if self.entry else ""
        self.app.push_screen(
            TextScreen(f"{self.reader.run.name} · events", lambda: event_log(self.reader.events, headline))
        )

    def action_latent(self) -> None:
        self._explore(LatentScreen)

    def action_map(self) -> None:
        self._explore(EmbeddingScreen)

    def _explore(self, screen: type[ExplorerScreen]) -> None:
        """Open an explorer, where the method can do what it needs."""
        if self.entry is None or screen.needs not in self.entry.capabilities:
            self.say(f"{self.entry.name if self.entry else 'this method'} {screen.lacks}")
        else:
            self.app.push_screen(screen(self.reader.run))

    def action_repaint(self) -> None:
        self.refresh(layout=True)

    def action_help(self) -> None:
        self.app.push_screen(KeyList("Keys", WATCH_KEYS))

    # -- what is asked of the trainer

    def action_pause(self) -> None:
        self.steering.pause()

    def action_ask(self, do: str) -> None:
        self.steering.ask(do)

    def action_rate(self) -> None:
        self.steering.rate()

    def action_stop(self) -> None:
        self.steering.stop()

    def action_leave(self) -> None:
        """Leave the view; where it started the training, ask what becomes of that."""
        if self.stopping:
            self.app.exit("stop")
        elif not self.attached or not self.live:
            self.app.exit("detached" if self.live else "ended")
        else:
            options = (
                Option("d", "detached", "detach: the training goes on without this view"),
                Option("s", "stop", "stop: save, then leave"),
                Option("w", "", "keep watching"),
            )
            self.ask_person(Question(f"Leave {self.reader.run.name}?", options), self._left)

    def _left(self, answer: str | None) -> None:
        if answer and not self.live:  # it ended while the question stood there
            self.app.exit("ended")
        elif answer == "detached":
            self.app.exit("detached")
        elif answer == "stop" and self.steering.ask("stop"):
            self.stopping = True
            self.say("saving and stopping … (q leaves without waiting)", stays=True)
