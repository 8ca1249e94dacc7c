"""One run, live: its curves, its newest panel, its events, and the keys that control it."""

from __future__ import annotations

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Resize
from textual.geometry import Size
from textual.screen import Screen

from sslterm.errors import DataError, SsltermError
from sslterm.render.charts import Axis, choose_charts
from sslterm.run.layout import RunDirectory
from sslterm.run.reader import RunReader
from sslterm.tui.facts import LIVE, entry_of, result_lines
from sslterm.tui.keys import WATCH_KEYS, bindings
from sslterm.tui.load import Load
from sslterm.tui.panel_choice import PanelChoice, Shown
from sslterm.tui.requests import Requests
from sslterm.tui.screens.dialog import KeyList, Option, Question
from sslterm.tui.screens.watch_layout import arrange
from sslterm.tui.widgets.charts import Charts
from sslterm.tui.widgets.header import Header
from sslterm.tui.widgets.keybar import KeyBar
from sslterm.tui.widgets.log import EventLog
from sslterm.tui.widgets.panel_view import PanelView

Outcome = Literal["detached", "stop", "ended"]
"""How a person left: the training goes on; it was asked to stop and save; it had ended by itself."""

TICK_SECONDS = 0.25
LOAD_SECONDS = 2.0
NOTICE_SECONDS = 4.0

_AXES: tuple[Axis, ...] = ("step", "images", "seconds")


class WatchScreen(Screen[None]):
    """Follows one run directory; acts on it only by control requests.

    Args:
        attached: this view started the trainer, so leaving it asks what becomes of the training.
    """

    BINDINGS = bindings(WATCH_KEYS)
    CSS = """
    WatchScreen { background: ansi_default; }
    WatchScreen Header { width: 1fr; height: 2; }
    WatchScreen #body { height: 1fr; background: ansi_default; }
    WatchScreen Charts { width: 1fr; height: 1fr; }
    WatchScreen PanelView { width: 1fr; height: 1fr; }
    WatchScreen .beside { margin-left: 2; }
    WatchScreen EventLog { width: 1fr; height: 3; }
    WatchScreen KeyBar { width: 1fr; height: 1; }
    """

    def __init__(self, run: RunDirectory, *, attached: bool = False) -> None:
        super().__init__()
        self.reader = RunReader(run)
        self.attached = attached
        self.header, self.charts, self.panel = Header(), Charts(), PanelView()
        self.log_view, self.key_bar = EventLog(), KeyBar(WATCH_KEYS)
        self.body = Horizontal(self.charts, self.panel, id="body")
        self.choice = PanelChoice(self.reader)
        self.requests = Requests(run)
        self.enlarged = False
        self.stopping = False
        """The person left with "stop and save"; the view closes when that is done."""
        self._load = Load()
        self._load_parts: list[tuple[int, str]] = []
        self._loaded: Shown | None = None
        """What the panel view shows."""

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.body
        yield self.log_view
        yield self.key_bar

    def on_mount(self) -> None:
        self.set_interval(TICK_SECONDS, self.tick)
        self.set_interval(LOAD_SECONDS, self.sample_load)
        self.reader.refresh()
        self.sample_load()
        self.update()

    def on_resize(self, event: Resize) -> None:
        self.share_out(event.size)

    @property
    def state(self) -> str:
        return self.reader.state

    @property
    def live(self) -> bool:
        return self.state in LIVE

    def tick(self) -> None:
        """Look for news, a few times a second; draw what they change."""
        if self.reader.refresh():
            self.update()
        else:
            self._tell_header()  # a trainer that died tells nobody
        if self.stopping and not self.live:
            self.app.exit("stop")

    def sample_load(self) -> None:
        working = self.state in ("starting", "running")
        self._load_parts = self._load.parts(self.reader.status, working=working)
        self._tell_header()

    def _tell_header(self) -> None:
        was, now = self.header.state, self.state
        self.header.tell(self.reader.run.name, now, self.reader.status, self._load_parts)
        if was != now:
            self._tell_log()

    def _tell_log(self) -> None:
        reader = self.reader
        entry = entry_of(reader.config)
        result = result_lines(reader.run.name, entry, reader.status, self.state, reader.events)
        self.log_view.tell(reader.events, result, headline=entry.headline if entry else "")

    def update(self) -> None:
        """Draw everything that has changed."""
        self._update_charts()
        self._read_answers()
        self._tell_header()
        self._tell_log()
        self._update_panel()
        self.share_out()
        self.charts.redraw()

    def _update_charts(self) -> None:
        entry, series = entry_of(self.reader.config), self.reader.metrics.series
        charts, selected = self.charts, self.charts.selected
        what = charts.charts[selected].what if selected is not None else ""
        charts.series = series
        charts.charts = choose_charts(series, entry.headline if entry else "")
        if selected is not None:  # the same chart, wherever it stands now
            places = [place for place, chart in enumerate(charts.charts) if chart.what == what]
            charts.selected = places[0] if places else None

    def _update_panel(self) -> None:
        wanted = self.choice.shown()
        if wanted is None or wanted == self._loaded:
            return
        try:
            panel = self.reader.panel(wanted.name, wanted.images)
        except DataError as error:
            self.panel.show(None, trouble=error.message)
            return
        self._loaded = wanted
        png = self.reader.panel_png(wanted.name, wanted.images)
        self.panel.show(panel, when=wanted.when, place=str(png) if png.exists() else "")

    def share_out(self, size: Size | None = None) -> None:
        """Give each widget its room on a screen of `size`: the present one, where none is given."""
        shape = arrange(
            *(size or self.size),
            panels=bool(self.choice.names()) or not self.charts.charts,
            charts=bool(self.charts.charts),
            result=len(self.log_view.result),
            only="" if not self.enlarged else "panel" if self.charts.selected is None else "charts",
        )
        self.header.styles.height = shape.header
        self.log_view.styles.height, self.log_view.display = shape.log, shape.log > 0
        self.key_bar.display = shape.keys > 0
        self.charts.display, self.panel.display = shape.charts > 0, shape.panel > 0
        self.charts.styles.width, self.panel.styles.width = shape.charts, shape.panel
        self.panel.set_class(shape.charts > 0, "beside")
        self.charts.only = self.enlarged

    # -- what keys do

    def action_panel(self, by: int) -> None:
        """The panel `by` places further."""
        self.charts.selected, self.panel.selected = None, True
        self.choice.turn(by)
        self._update_panel()
        self._redraw_selection()

    def action_history(self, by: int) -> None:
        """The panel as it was `by` drawings later."""
        self.choice.go(by)
        self._update_panel()

    def action_select(self, by: int) -> None:
        """Go through the charts, with the panel as the place before the first."""
        count = len(self.charts.charts)
        place = -1 if self.charts.selected is None else self.charts.selected
        place = (place + by + 1) % (count + 1) - 1
        self.charts.selected = None if place < 0 else place
        self.panel.selected = place < 0
        self._redraw_selection()

    def _redraw_selection(self) -> None:
        self.share_out()
        self.charts.redraw()
        self.panel.redraw()

    def action_enlarge(self) -> None:
        self.enlarged = not self.enlarged
        if self.enlarged and not self.choice.names() and self.charts.charts:
            self.charts.selected = self.charts.selected or 0
        self._redraw_selection()

    def action_back(self) -> None:
        if self.enlarged:
            self.action_enlarge()
        elif len(self.app.screen_stack) > 2:
            self.app.pop_screen()

    def action_log(self) -> None:
        self.charts.log_y = not self.charts.log_y
        self.charts.redraw()

    def action_axis(self) -> None:
        self.charts.axis = _AXES[(_AXES.index(self.charts.axis) + 1) % len(_AXES)]
        self.charts.redraw()

    def action_repaint(self) -> None:
        self.refresh(layout=True)

    def action_help(self) -> None:
        self.app.push_screen(KeyList("Keys", WATCH_KEYS))

    # -- what is asked of the trainer

    def ask(self, do: str) -> bool:
        """Ask the trainer, and say so until it answers; whether it could be asked."""
        if not self.live:
            self.notify_below(f"no trainer is at work on this run ({self.state})")
            return False
        try:
            self.requests.ask(do)
        except SsltermError as error:
            self.notify_below(error.message)
            return False
        self.key_bar.say(f"{do}: asked …")
        return True

    def notify_below(self, text: str) -> None:
        """Say something in place of the keys, for a few seconds."""
        self.key_bar.say(text)
        self.set_timer(NOTICE_SECONDS, lambda: self.key_bar.say("") if self.key_bar.notice == text else None)

    def _read_answers(self) -> None:
        for answer in self.requests.answers(self.reader.events):
            if not self.stopping:
                self.notify_below(answer)
        if self.requests.waiting and not self.live:
            self.requests.waiting.clear()
            self.key_bar.say("")

    def action_pause(self) -> None:
        self.ask("continue" if self.state == "paused" else "pause")

    def action_checkpoint(self) -> None:
        self.ask("checkpoint")

    def action_stop(self) -> None:
        if not self.live:
            self.ask("stop")
            return
        name = self.reader.run.name
        options = (Option("s", "stop", "save and stop"), Option("w", "", "keep training"))
        title = f"Stop {name}? It saves first; go on later with sslterm resume {name}"
        self.app.push_screen(Question(title, options), self._stopped)

    def _stopped(self, answer: str | None) -> None:
        if answer:
            self.ask("stop")

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
            self.app.push_screen(Question(f"Leave {self.reader.run.name}?", options), self._left)

    def _left(self, answer: str | None) -> None:
        if answer and not self.live:  # it ended while the question stood there
            self.app.exit("ended")
        elif answer == "detached":
            self.app.exit("detached")
        elif answer == "stop" and self.ask("stop"):
            self.stopping = True
            self.key_bar.say("saving and stopping … (q leaves without waiting)")
