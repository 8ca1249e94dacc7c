"""Runs as lines: what each is, how it does, how far it is, what it has reached."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from sslterm.render.bars import sparkline
from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.charts import title_of, unit_of
from sslterm.render.palette import ACCENT, GROUND, MUTED
from sslterm.render.quantity import amount, duration, number
from sslterm.run.index import ListedRun
from sslterm.run.layout import RunDirectory
from sslterm.tui.courses import Courses, metric_of
from sslterm.tui.facts import LIVE, SIGNS, age, share_done
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.header import progress_bar

SPARK_WIDTH = 10
_ENDED_BADLY = ("failed", "diverged", "died")


@dataclass(frozen=True)
class Column:
    """A column of the list; screens narrower than `from_width` leave it out."""

    name: str
    width: int
    right: bool = False
    from_width: int = 0


COLUMNS = (
    Column("state", 10, from_width=28),
    Column("progress", 14, from_width=76),
    Column("images", 12, right=True, from_width=134),
    Column("time", 13, right=True, from_width=92),
    Column("value", 22, right=True, from_width=58),
    Column("spark", SPARK_WIDTH, from_width=106),
    Column("rate", 12, right=True, from_width=118),
)


class RunList(Canvas):
    """The list, with the cursor on one run.

    Attributes:
        runs: what is listed, in order.
        empty: lines in place of the list where there is nothing in it.
        marks: paths of the runs that are marked.
    """

    class Opened(Message):
        """A person has double-clicked on a run."""

    def __init__(self, courses: Courses) -> None:
        super().__init__()
        self.courses = courses
        self.runs: Sequence[ListedRun] = ()
        self.everything: Sequence[ListedRun] = ()
        self.empty: Sequence[str] = ()
        self.marks: Collection[Path] = ()
        self.loads: Sequence[str] = ()
        """How loaded the machine is, at more and less length: the first that fits is shown."""
        self.at = 0
        self.top = 0
        self.now = 0.0

    @property
    def rows(self) -> int:
        """Runs that fit on the screen."""
        return max(self.size.height - (2 if self.size.height >= 6 else 1), 0)

    @property
    def current(self) -> ListedRun | None:
        """The run under the cursor."""
        return self.runs[min(self.at, len(self.runs) - 1)] if self.runs else None

    def on_screen(self) -> Sequence[ListedRun]:
        return self.runs[self.top : self.top + self.rows]

    def move(self, by: int) -> None:
        self.go(self.at + by)

    def go(self, place: int) -> None:
        """Put the cursor on a place of the list."""
        self.at = min(max(place, 0), max(len(self.runs) - 1, 0))
        self.redraw()

    def go_to(self, run: RunDirectory) -> None:
        """Put the cursor on a run, where it is listed."""
        places = [place for place, listed in enumerate(self.runs) if listed.run == run]
        if places:
            self.go(places[0])

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        tint = MUTED if self.in_color else GROUND
        self._draw_head(cells, tint)
        if not self.runs:
            for row, text in enumerate(self.empty, 2 if height >= 6 else 1):
                cells.put(fit(text, width - 2), row, 2, tint)
            return cells
        self.at = min(self.at, len(self.runs) - 1)
        rows = self.rows
        self.top = max(min(self.top, self.at, len(self.runs) - rows), self.at - rows + 1, 0)
        for row, listed in enumerate(self.on_screen(), height - rows):
            self._draw_run(cells, row, listed, current=self.top + row - (height - rows) == self.at)
        return cells

    def _draw_head(self, cells: Cells, tint: int) -> None:
        states = [listed.state for listed in self.everything]
        counts = [f"{states.count(state):,} {state}" for state in SIGNS if state in states]
        marked = [f"{len(self.marks)} marked"] if self.marks else []
        column = cells.put("sslterm", 0, 0, ACCENT if self.in_color else GROUND)
        room = cells.width - column - 2
        text = " · ".join([*marked, *counts])
        longer = (" · ".join(filter(None, (text, load))) for load in self.loads)
        text = next((one for one in longer if text_width(one) <= room), text)
        cells.put_right(fit(text, max(room, 0)), 0, cells.width, tint)

    def _draw_run(self, cells: Cells, row: int, listed: ListedRun, *, current: bool) -> None:
        shown = [column for column in COLUMNS if cells.width >= column.from_width]
        room = cells.width - 2 - (sum(column.width + 2 for column in shown) if shown else 2)
        name_width = max(min(room, 32), 6)
        accent = ACCENT if self.in_color else GROUND
        marked = listed.run.path in self.marks
        if current or marked:
            cells.put("▸" if current else "•", row, 0, accent)
        if current and marked:
            cells.put("•", row, 1, accent)
        cells.put(fit(listed.name, name_width), row, 2, accent if current or marked else GROUND)
        place = 2 + name_width + 2
        state = listed.state
        if not shown:  # no room for the word
            sign, tint = SIGNS.get(state, ("·", MUTED))
            cells.put_right(sign, row, cells.width, tint if self.in_color else GROUND)
        for column in shown:
            if column.name == "progress" and state in _ENDED_BADLY:
                self._draw_end(cells, row, place, listed)
                return
            cells.paste(self._field(listed, state, column), row, place)
            place += column.width + 2

    def _draw_end(self, cells: Cells, row: int, place: int, listed: ListedRun) -> None:
        """Why a run ended and what to do, over all the columns that are left."""
        tint = MUTED if self.in_color else GROUND
        do = "resume with r"
        message = listed.status.message if listed.status else ""
        if listed.state == "died" or not message:
            message = f"at {100 * share_done(listed.status):.0f} %: the trainer is gone"
        room = cells.width - place
        text = fit(message, max(room - text_width(do) - 3, 0)) + f" · {do}"
        end = cells.put(fit(text, room), row, place, tint)
        if listed.status is not None and end + 12 < cells.width:
            cells.put_right(self._age(listed), row, cells.width - 2, tint)

    def _field(self, listed: ListedRun, state: str, column: Column) -> Cells:
        """What stands in a column of a run's line."""
        status = listed.status
        sign, tint = SIGNS.get(state, ("·", MUTED))
        muted = MUTED if self.in_color else GROUND
        if column.name == "state":
            return Cells.line(f"{sign} {state}", column.width, tint if self.in_color else GROUND)
        if status is None:
            return Cells.blank(column.width, 1)
        if column.name == "progress":
            return progress_bar(share_done(status), column.width, color=self.in_color)
        texts = {
            "images": f"{amount(status.images)} images" if status.images else "",
            "time": self._time(listed, state),
            "value": _value(listed, column.width),
            "spark": sparkline(self.courses.of(listed), SPARK_WIDTH) if column.name == "spark" else "",
            "rate": self._rate(listed, state),
        }
        text = fit(texts[column.name], column.width)
        cells = Cells.blank(column.width, 1)
        start = column.width - text_width(text) if column.right else 0
        cells.put(text, 0, start, GROUND if column.name in ("value", "spark") else muted)
        return cells

    def _age(self, listed: ListedRun) -> str:
        return age(self.now - listed.status.heartbeat) if listed.status and listed.status.heartbeat else ""

    def _rate(self, listed: ListedRun, state: str) -> str:
        """How fast it trains; of what does not train any more, how long ago that was."""
        if state == "running" and listed.status is not None:
            return f"{amount(listed.status.images_per_second)} img/s"
        return self._age(listed) if state not in LIVE else ""

    def _time(self, listed: ListedRun, state: str) -> str:
        status = listed.status
        if status is None:
            return ""
        if state == "stopped":
            return "resume with r"
        if state != "running":
            return f"in {duration(status.elapsed_seconds)}" if status.elapsed_seconds else ""
        return f"{duration(status.seconds_left)} left" if status.seconds_left is not None else ""

    # -- the mouse

    def on_click(self, event: Click) -> None:
        place = self.top + event.y - (self.size.height - self.rows)
        if event.y >= self.size.height - self.rows and place < len(self.runs):
            self.go(place)
            if event.chain == 2:
                self.post_message(self.Opened())

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        self.move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        self.move(-1)


def _value(listed: ListedRun, width: int) -> str:
    """The last value of the metric to watch: "-ELBO 148.9 nats"; its name is cut where it is too long."""
    metric = metric_of(listed)
    if not metric or listed.status is None:
        return ""
    value = " ".join(part for part in (number(listed.status.last[metric]), unit_of(metric)) if part)
    name = title_of(metric).partition(" (")[0]
    return f"{fit(name, max(width - text_width(value) - 1, 0)).rstrip()} {value}".strip()
